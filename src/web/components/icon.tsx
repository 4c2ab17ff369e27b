/** Our own line icons, 16 by 16, drawn with the colour of the text. Decorative: the words beside them carry the meaning. */

const PATHS = {
  overview: 'M2 9.5h4l1.5-5 2.5 8 1.5-4.500H14',
  vm: 'M2.5 3h11v7.500h-11zM5.5 13.500h5M8 10.500v3',
  image: 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 6.500a1.5 1.5 0 1 0 0 3 1.5 1.5 0 0 0 0-3z',
  network: 'M8 2v4M3.5 14v-2.500a1.5 1.5 0 0 1 1.5-1.500h6a1.5 1.5 0 0 1 1.5 1.500V14M8 10V6M6.5 2h3v3h-3z',
  storage:
    'M2.5 4c0-1.1 2.46-2 5.5-2s5.5.9 5.5 2-2.46 2-5.5 2-5.5-.9-5.5-2zM2.5 4v8c0 1.1 2.46 2 5.5 2s5.5-.9 5.5-2V4M2.5 8c0 1.1 2.46 2 5.5 2s5.5-.9 5.5-2',
  operations: 'M13.5 8a5.5 5.5 0 1 1-1.7-4M13.5 2v3h-3',
  host: 'M2.5 2.500h11v4.500h-11zM2.5 9h11v4.500h-11zM5 4.750h.01M5 11.250h.01',
  audit: 'M4 2h6l3 3v9H4zM6.5 7h4M6.5 9.500h4M6.5 12h2.5',
  project: 'M2 4.500v8h12v-6.500H8L6.5 4.500zM2 8h12',
  users:
    'M6 3a2.300 2.300 0 1 0 0 4.600A2.300 2.300 0 0 0 6 3zM1.500 13.500c.4-2.500 2.100-3.700 4.500-3.700s4.100 1.200 4.500 3.700M10.500 3.200a2.200 2.200 0 0 1 0 4.200M12 10.200c1.400.5 2.300 1.600 2.500 3.300',
  trash: 'M2.5 4h11M6 4V2.500h4V4M4 4l.6 9.500h6.800L12 4M6.7 7v4M9.3 7v4',
  settings: 'M2 4.500h6M11.5 4.500H14M2 11.500h2.500M8 11.500h6M9.75 2.750v3.500M6.25 9.750v3.5',
  metrics: 'M2 2.500v11h12M4.5 10.5 7 7l2.5 2L13.5 4',
  alert:
    'M8 2a3.800 3.800 0 0 0-3.800 3.800c0 3-1.200 4.200-1.700 4.900h11c-.5-.7-1.700-1.900-1.700-4.900A3.800 3.800 0 0 0 8 2zM6.700 13a1.400 1.400 0 0 0 2.600 0',
  health: 'M1.500 8.500h3l2-5 3 9 2-4h3',
  search: 'M7 2.500a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM10.3 10.3 14 14',
  plus: 'M8 3v10M3 8h10',
  more: 'M8 3.500h.01M8 8h.01M8 12.500h.01',
  close: 'M4 4l8 8M12 4l-8 8',
  check: 'M3 8.5 6.5 12 13 4.5',
  chevron: 'M6 3.5 10.5 8 6 12.5',
  down: 'M3.5 6 8 10.5 12.5 6',
  up: 'M3.5 10 8 5.5 12.5 10',
  play: 'M5 3v10l8-5z',
  stop: 'M4 4h8v8H4z',
  power: 'M8 2v6M4.5 4.300a5.2 5.2 0 1 0 7 0',
  pause: 'M5.5 3v10M10.5 3v10',
  reboot: 'M2.5 8a5.5 5.5 0 1 0 1.7-4M2.5 2v3h3',
  bolt: 'M9 1.5 3.5 9H8l-1 5.500L12.5 7H8z',
  edit: 'M10.5 3 13 5.5 5.5 13H3v-2.500zM9 4.5 11.5 7',
  screen: 'M2 3h12v8.500H2zM6 14h4',
  terminal: 'M2 3h12v10H2zM4.5 6 6.5 8l-2 2M8.5 10h3',
  external: 'M9 2.500h4.500V7M13.5 2.5 7.5 8.500M11.5 9v4.500h-9v-9H7',
  full: 'M2.5 6V2.500H6M10 2.500h3.500V6M13.5 10v3.500H10M6 13.500H2.500V10',
  upload: 'M8 10.500V2.500M4.5 6 8 2.5 11.5 6M2.5 10v3.500h11V10',
  download: 'M8 2.500v8M4.5 7 8 10.5 11.5 7M2.5 10v3.500h11V10',
  copy: 'M5.5 5.500h8v8h-8zM10.5 5.500v-3h-8v8h3',
  sun: 'M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v1.500M8 13.500V15M1 8h1.500M13.5 8H15M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1',
  moon: 'M13.5 9.500A6 6 0 0 1 6.5 2.500a6 6 0 1 0 7 7z',
  system: 'M8 2.500a5.5 5.5 0 1 0 0 11zM8 2.500a5.5 5.5 0 0 1 0 11',
  user: 'M8 2.500a2.7 2.7 0 1 0 0 5.4 2.7 2.7 0 0 0 0-5.400zM2.5 14c.5-2.8 2.7-4 5.5-4s5 1.2 5.5 4',
  lock: 'M3.5 7.500h9v6h-9zM5.5 7.500V5a2.5 2.5 0 0 1 5 0v2.5',
  shield: 'M8 2l5 2v4c0 3-2 5-5 6-3-1-5-3-5-6V4zM5.500 8l1.800 1.800L10.500 6.500',
  key: 'M5 8a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5zM7 9l6-6M10.5 5.5 12.5 7.5',
  keyboard: 'M1.5 4h13v8h-13zM4 6.500h.01M6.7 6.500h.01M9.3 6.500h.01M12 6.500h.01M5 9.500h6',
  paste: 'M5.5 3H3.500v10.500h9V3h-2M5.5 2h5v2.500h-5z',
  disk: 'M2.5 9.5 4.5 3h7l2 6.500v4h-11zM2.5 9.500h11M11 11.500h.01',
  list: 'M5.5 4h8M5.5 8h8M5.5 12h8M2.5 4h.01M2.5 8h.01M2.5 12h.01',
  filter: 'M2.5 4h11M4.5 8h7M6.5 12h3',
  help: 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM6.2 6.200c.1-1 .9-1.7 1.9-1.7 1 0 1.8.7 1.8 1.6 0 1.4-1.9 1.4-1.9 2.700M8 11.300h.01',
  warning: 'M8 2.5 14.5 13.500h-13zM8 6.500v3.500M8 11.800h.01',
  eject: 'M8 3.5 12.5 9h-9zM3.5 12h9',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16 }: { readonly name: IconName; readonly size?: number }) {
  return (
    <svg
      class="icon"
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      stroke-width="1.4"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name]} stroke-width={name === 'more' || name === 'list' ? 1.8 : 1.4} />
    </svg>
  );
}

/** The mark of the product. */
export function Logo({ size = 22 }: { readonly size?: number }) {
  return (
    <svg
      class="logo"
      width={size}
      height={size}
      viewBox="10 6 44 52"
      fill="none"
      stroke-linejoin="round"
      stroke-linecap="round"
      stroke-width="5"
      aria-hidden="true"
    >
      <path class="logo-top" d="M32 10 50 20.5 32 31 14 20.500Z" />
      <path class="logo-middle" d="M14 32.5 32 43 50 32.5" />
      <path class="logo-bottom" d="M14 43.5 32 54 50 43.5" />
    </svg>
  );
}
