/** What a catalogue entry says about a well-known system: where its image and checksum lie, who signs it, and what a VM for it
 *  needs. Plain data: what it says may be out of date, and only an online check can tell. */

export type CatalogueArch = 'x86_64' | 'aarch64';

/** An image whose name never changes, or whose name holds a version: then the newest line of the checksum file that fits. */
export type CatalogueFile = { readonly name: string } | { readonly pattern: RegExp; readonly example: string };

export interface CatalogueChecksum {
  readonly kind: 'sha256' | 'sha512';
  readonly url: string;
  /** `by_name`: the line with the image's name. `only`: the file speaks of one image, whatever name it gives it. */
  readonly line: 'by_name' | 'only';
}

export type CatalogueSignature =
  | {
      readonly scheme: 'openpgp';
      /** `detached`: beside what it covers. `clearsigned`: around the lines of the checksum file itself. */
      readonly form: 'detached' | 'clearsigned';
      readonly covers: 'checksum' | 'image';
      /** Null when the name holds the image's name: then it is the image's URL with `suffix`. */
      readonly url: string | null;
      readonly suffix?: string;
      readonly keyUrl: string;
      /** Primary key, 40 hexadecimal digits. It is what is trusted; the key's address alone proves nothing. */
      readonly fingerprint: string;
    }
  /** Exists, but is of a kind that is not verified here. */
  | { readonly scheme: 'signify' | 'minisign'; readonly url: string };

export interface CatalogueEntry {
  readonly id: string;
  readonly name: string;
  readonly version: string;
  readonly channel: 'stable' | 'lts' | 'previous' | 'rolling' | 'unstable';
  readonly arch: CatalogueArch;
  /** `iso`: installer. `disk`: cloud image that cloud-init configures. */
  readonly kind: 'iso' | 'disk';
  /** Where the image lies; ends with a slash. */
  readonly folderUrl: string;
  readonly file: CatalogueFile;
  readonly checksum: CatalogueChecksum;
  readonly signature: CatalogueSignature | null;
  readonly homepage: string;
  /** Cloud-init's user of a cloud image. */
  readonly defaultUser: string | null;
  readonly suggested: {
    readonly vcpus: number;
    readonly memoryBytes: number;
    readonly diskBytes: number;
    readonly firmware: 'uefi' | 'bios';
    /** Identifier in libosinfo's database. */
    readonly osinfoId: string;
  };
  /** What one should know before choosing it. */
  readonly note: string | null;
  /** Day on which this entry was last seen working online when it was written; null: never. */
  readonly lastChecked: string | null;
}

/** Where any public key can be had by its fingerprint. */
export function keyserverUrl(fingerprint: string): string {
  return `https://keyserver.ubuntu.com/pks/lookup?op=get&options=mr&search=0x${fingerprint}`;
}
