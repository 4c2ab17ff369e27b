/** The hints of checks that could find nothing out because libvirt does not answer: with them their lines are gathered into one. */

/** Of a line of the preflight. */
export const PREFLIGHT_WAITS_FOR_LIBVIRT = 'See `libvirt.connection`.';

/** Of a health check. */
export const HEALTH_WAITS_FOR_LIBVIRT = 'See `libvirt.answers`.';
