/** Single files of restore points: what lies on their disks, folders, downloads. */

import { z } from 'zod';
import { defineErrors } from '#kernel/errors.ts';
import { timeSchema } from './common.ts';
import { defineRoutes, idParam, pageOf, pageQuery } from './define.ts';

export const backupFileErrors = defineErrors({
  volume_not_readable: {
    status: 409,
    title: 'The volume cannot be read file by file',
    hint: 'List the volumes with `hv backup files volumes POINT`; a whole disk is taken out with `hv backup export`.',
  },
  filesystem_damaged: {
    status: 409,
    title: 'The file system, or a part of it, cannot be read',
    hint: 'Check the point with `hv verify run NAME --point POINT`, and look into an older one.',
  },
  path_is_link: {
    status: 409,
    title: 'A part of the path is a symbolic link',
    hint: 'Links are not followed: ask for what it points to.',
  },
  not_a_folder: { status: 409, title: 'It is not a folder', hint: 'Download it instead: `hv backup files get`.' },
  not_a_file: {
    status: 409,
    title: 'It is neither a file nor a folder',
    hint: 'Devices, sockets, pipes and links are listed, not downloaded; they are entries in the archive of their folder.',
  },
  files_too_large: {
    status: 413,
    title: 'More is asked for than a download may hold',
    hint: 'Download less at once, restore the disk, or raise `backups.files.maxDownloadGib`.',
  },
  file_reader_busy: {
    status: 503,
    title: 'As many restore points are being read as may be',
    hint: 'Try again in a minute, or raise `backups.files.parallel`.',
  },
  file_reader_no_memory: {
    status: 503,
    title: 'The host has too little free memory to read files of a restore point',
    hint: 'Try again when there is more.',
  },
  file_reader_failed: {
    status: 503,
    title: 'What reads the file systems of the restore point ended',
    hint: 'Try again. If it ends each time, the file system makes its driver fail: take the whole disk out with `hv backup export`.',
  },
});

export const volumeSchema = z.object({
  id: z.string().describe('as vda1 for a partition, vda for a whole disk, GROUP/NAME for a logical volume'),
  disk: z.string().nullable().describe('as vda; null for a logical volume'),
  kind: z.string().describe('as ext4, xfs, ntfs, LVM2_member, crypto_LUKS; empty = nothing that is known'),
  label: z.string().describe('name that was given to it: show as text'),
  sizeBytes: z.number(),
  isReadable: z.boolean(),
  note: z.string().nullable().describe('why it cannot be read, for people'),
});
export type FileVolume = z.infer<typeof volumeSchema>;

export const fileEntrySchema = z.object({
  name: z
    .string()
    .describe('show as text; control characters, backslashes and bytes that are no UTF-8 are written as \\xNN'),
  kind: z.enum(['file', 'folder', 'link', 'other', 'unreadable']).describe('other = device, socket or pipe'),
  sizeBytes: z.number(),
  modifiedAt: timeSchema.nullable(),
  mode: z.int().describe('permission bits'),
  uid: z.int(),
  gid: z.int(),
  target: z.string().nullable().describe('where a link points; written as names are'),
});
export type FileEntry = z.infer<typeof fileEntrySchema>;

const point = { params: idParam('restore point'), object: { type: 'restore-point', param: 'id' } } as const;
const place = {
  volume: z.string().min(1).max(300).describe('id of the volume, as vda1'),
  path: z.string().max(8192).default('/').describe('from the root of the volume; names as they are listed'),
};

/** `mended`: its journal, or what it does by itself after a power cut, made it whole. `doubtful`: it has no journal, and shows what a power
 *  cut leaves as well as damage does. */
export const filesystemCheckSchema = z.object({
  volume: z.string(),
  kind: z.string(),
  state: z.enum(['clean', 'mended', 'doubtful', 'damaged', 'unchecked']),
  text: z.string().describe('what its checker printed: show as text'),
});
export type FilesystemCheck = z.infer<typeof filesystemCheckSchema>;

export const ARCHIVE_FORMATS = ['tar', 'zip'] as const;

export const backupFileRoutes = defineRoutes({
  'GET /restore-points/{id}/volumes': {
    summary: 'What lies on the disks of a restore point: partitions, logical volumes, file systems',
    permission: 'backup.files',
    ...point,
    response: z.object({ volumes: z.array(volumeSchema) }),
  },
  'GET /restore-points/{id}/files': {
    summary: 'A folder of a restore point, by name',
    permission: 'backup.files',
    ...point,
    query: z.object({ ...pageQuery, ...place }),
    response: z.object({
      ...pageOf(fileEntrySchema).shape,
      isCut: z.boolean().describe('the folder holds more names than are read'),
    }),
  },
  'GET /restore-points/{id}/file': {
    summary: 'A file of a restore point, or a folder as an archive',
    permission: 'backup.files',
    ...point,
    query: z.object({
      ...place,
      archive: z
        .enum(ARCHIVE_FORMATS)
        .optional()
        .describe('of a folder; tar unless given. A file comes as it is without'),
    }),
    raw: 'bytes',
    takesDataOut: true,
  },
});
