/** Colours of the serial terminal for both themes; the sixteen ANSI colours pass 4.5:1 on their ground (black and white excepted, as usual). */

import type { ITheme } from '@xterm/xterm';

const DARK: ITheme = {
  background: '#0b0e12',
  foreground: '#dfe5eb',
  cursor: '#6aa9ff',
  cursorAccent: '#0b0e12',
  selectionBackground: '#2c4a73',
  black: '#3a4551',
  red: '#f2686b',
  green: '#4cc38a',
  yellow: '#e6b450',
  blue: '#6aa9ff',
  magenta: '#b794f4',
  cyan: '#4fd1c5',
  white: '#c9d1d9',
  brightBlack: '#8b97a5',
  brightRed: '#ff8a8c',
  brightGreen: '#7ddcae',
  brightYellow: '#f3cc7c',
  brightBlue: '#9cc6ff',
  brightMagenta: '#d0b8fa',
  brightCyan: '#8ce5dc',
  brightWhite: '#ffffff',
};

const LIGHT: ITheme = {
  background: '#fbfcfd',
  foreground: '#1a2129',
  cursor: '#1f63d6',
  cursorAccent: '#ffffff',
  selectionBackground: '#bcd5fa',
  black: '#1a2129',
  red: '#c2272d',
  green: '#18794e',
  yellow: '#8f5b00',
  blue: '#1f63d6',
  magenta: '#7a4bc2',
  cyan: '#0f766e',
  white: '#5a6672',
  brightBlack: '#5a6672',
  brightRed: '#a11d22',
  brightGreen: '#126240',
  brightYellow: '#734900',
  brightBlue: '#184fae',
  brightMagenta: '#5f35a3',
  brightCyan: '#0a5c56',
  brightWhite: '#1a2129',
};

export function terminalTheme(isDark: boolean): ITheme {
  return isDark ? DARK : LIGHT;
}
