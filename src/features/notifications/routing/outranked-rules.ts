/** Which of the rules that come with the program say the same of one thing in two degrees: while the graver one fires, the lesser one has
 *  nothing to add. */

/** The graver rule → those that it makes needless, by the names of the default rules. */
export const OUTRANKED_RULES: Readonly<Record<string, readonly string[]>> = {
  disk_full: ['disk_filling', 'disk_fills_fast', 'disk_will_fill'],
  pool_full: ['pool_filling', 'disk_fills_fast', 'disk_will_fill'],
  guest_disk_full: ['guest_disk_filling', 'disk_fills_fast', 'disk_will_fill'],
  vm_monitor_stuck_long: ['vm_monitor_stuck'],
  vm_down: ['vm_crashed'],
  vm_crash_loop: ['vm_crashed'],
  vm_paused_by_error: ['vm_paused'],
  host_memory_full: ['host_memory_low'],
  certificate_over: ['certificate_ends'],
  ups_battery_low: ['ups_on_battery'],
  disk_failing: ['disk_ails'],
  memory_broken: ['memory_ails'],
};

/** How the ids of rules begin that come with the program; users cannot choose ids. */
const DEFAULT = 'default:';

/** The name of a default rule, whatever it was renamed to; null for any other rule. */
export const defaultRuleOf = (ruleId: string): string | null =>
  ruleId.startsWith(DEFAULT) ? ruleId.slice(DEFAULT.length) : null;
