/** The appliance: reads file systems of strangers in a guest of its own. */

export { APPLIANCE_OVERHEAD_MIB, type Appliance, startAppliance } from './appliance.ts';
export { type ApplianceImage, applianceImage } from './image.ts';
export { AgentProblem } from './port.ts';
export type { AgentEntry, Frame } from './wire.ts';
