/** What VMs need of other slices, as small as it is used here. */

/** A file of the image library. */
export interface ImageFile {
  readonly id: string;
  readonly name: string;
  readonly kind: 'iso' | 'disk' | 'kernel' | 'initrd';
  /** Stated, never guessed from the content. */
  readonly format: 'iso' | 'qcow2' | 'raw';
  /** Absolute. */
  readonly path: string;
  readonly virtualSizeBytes: number;
  readonly sizeBytes: number;
}

/** The images that the asker may use for a VM of one project. */
export interface ImageLibrary {
  /** By id or name; null when there is none or its file is missing. @throws AppError ambiguous_name */
  get(idOrName: string): ImageFile | null;
}

/** Which acceleration is proven on this host; `none` = QEMU does not run at all, `unknown` = not looked at yet. */
export type Accelerator = () => 'kvm' | 'tcg' | 'none' | 'unknown';
