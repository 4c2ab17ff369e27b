/** The part of noVNC 1.7 that is used here; the package brings no types. Source: its docs/API.md. */

declare module '@novnc/novnc' {
  export default class RFB extends EventTarget {
    constructor(target: HTMLElement, url: string, options?: { shared?: boolean });
    viewOnly: boolean;
    scaleViewport: boolean;
    clipViewport: boolean;
    dragViewport: boolean;
    focusOnClick: boolean;
    background: string;
    qualityLevel: number;
    compressionLevel: number;
    disconnect(): void;
    focus(): void;
    blur(): void;
    /** @param code a KeyboardEvent.code; with it the server gets the key itself, whatever its layout */
    sendKey(keysym: number, code: string, down?: boolean): void;
  }
}
