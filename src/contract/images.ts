/** The image library: ISOs, cloud images, kernels. */

import { z } from 'zod';
import { defineErrors } from '#kernel/errors.ts';
import { TIB } from '#kernel/units.ts';
import { DEFAULT_PROJECT, nameSchema, projectIdSchema, timeSchema } from './common.ts';
import { defineRoutes, idParam, pageOf, pageQuery } from './define.ts';
import { operationSchema } from './operations.ts';

export const imageErrors = defineErrors({
  image_in_use: {
    status: 409,
    title: 'The image is in use',
    hint: 'Eject or delete it from the named VMs first; purge those in the trash.',
  },
  checksum_mismatch: {
    status: 422,
    title: 'The content does not have the expected checksum',
    hint: 'Compare the checksum with the publisher; if it is right, fetch the file again, perhaps from another mirror.',
  },
  image_kind_mismatch: {
    status: 422,
    title: 'The content is not of the stated kind',
    hint: 'Leave the kind out to have it found out, or give the right file.',
  },
  upload_offset: {
    status: 409,
    title: 'The upload is at another offset',
    hint: 'Go on from `params.offset`.',
  },
  foreign_file: {
    status: 409,
    title: 'Something else lies in the place of the file',
    hint: 'Look at what lies there in the image folder and take it away by hand; it was not touched.',
  },
  upload_stalled: {
    status: 408,
    title: 'The upload came too slowly',
    hint: 'Go on from where it stopped: what arrived is kept for a day.',
  },
});

export const imageKindSchema = z.enum(['iso', 'disk', 'kernel', 'initrd']);
export type ImageKind = z.infer<typeof imageKindSchema>;

export const imageSchema = z.object({
  id: z.string(),
  name: z.string().describe('unique in its project'),
  project: z.string().describe('id of the project that owns it'),
  isShared: z.boolean().describe('every project may use it'),
  kind: imageKindSchema.describe('disk = cloud or other bootable disk image'),
  state: z.enum(['ready', 'missing']),
  format: z.enum(['iso', 'qcow2', 'raw']),
  sizeBytes: z.number().describe('of the file'),
  virtualSizeBytes: z.number(),
  sha256: z.string(),
  source: z.string().describe('upload, import, built, or the URL it came from'),
  catalogueId: z.string().nullable(),
  verified: z
    .enum(['signature', 'checksum', 'given_checksum', 'none'])
    .describe('what the content was checked against'),
  label: z.string().nullable().describe('volume label of an ISO'),
  usedBy: z.array(
    z.object({
      vmId: z.string(),
      name: z.string(),
      project: z.string(),
      place: z
        .enum(['host', 'trash', 'elsewhere'])
        .describe('the VM is on this host, in its trash, or was moved to another host'),
    }),
  ),
  defaultUser: z.string().nullable().describe('cloud-init user of a cloud image'),
  createdAt: timeSchema,
});
export type Image = z.infer<typeof imageSchema>;

export const catalogueEntrySchema = z.object({
  id: z.string(),
  name: z.string(),
  version: z.string(),
  arch: z.string(),
  kind: z.enum(['iso', 'disk']),
  url: z.string(),
  homepage: z.string(),
  checksumUrl: z.string().nullable(),
  signatureUrl: z.string().nullable(),
  verification: z.enum(['signature', 'checksum', 'none']).describe('the strongest check that this entry allows'),
  lastChecked: timeSchema.nullable(),
  lastResult: z.string().nullable().describe('what the last online check found; null = never checked'),
  suggested: z.object({
    vcpus: z.int(),
    memoryBytes: z.number(),
    diskBytes: z.number(),
    firmware: z.enum(['uefi', 'bios']),
  }),
  defaultUser: z.string().nullable(),
});
export type CatalogueEntry = z.infer<typeof catalogueEntrySchema>;

export const uploadSchema = z.object({
  id: z.string(),
  name: z.string(),
  project: z.string(),
  kind: imageKindSchema.nullable().describe('null = found out once all bytes are here'),
  sizeBytes: z.number(),
  offset: z.number().describe('bytes received and safe'),
  state: z.enum(['receiving', 'checking']),
  operationId: z.string().nullable().describe('the operation that checks and publishes it, once all bytes are here'),
  expiresAt: timeSchema,
});
export type Upload = z.infer<typeof uploadSchema>;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'use 64 lower-case hexadecimal digits');
const sha512 = z.string().regex(/^[0-9a-f]{128}$/, 'use 128 lower-case hexadecimal digits');

export const imageRoutes = defineRoutes({
  'GET /images': {
    summary: 'List images',
    permission: 'image.read',
    list: true,
    query: z.object({
      ...pageQuery,
      project: z.string().max(64).optional().describe('id or name: what it owns'),
      usableIn: z
        .string()
        .max(64)
        .optional()
        .describe('id or name of a project: what VMs of it may use, its own and what is shared with it'),
      q: z.string().max(200).optional(),
      kind: imageKindSchema.optional(),
    }),
    response: pageOf(imageSchema),
  },
  'GET /images/{id}': {
    summary: 'Show an image',
    permission: 'image.read',
    params: idParam('id or name'),
    object: { type: 'image', param: 'id' },
    response: imageSchema,
  },
  'PATCH /images/{id}': {
    summary: 'Share an image with all projects, or take that back',
    permission: 'image.share',
    params: idParam('id or name'),
    object: { type: 'image', param: 'id' },
    body: z.strictObject({ isShared: z.boolean() }),
    response: imageSchema,
  },
  'DELETE /images/{id}': {
    summary: 'Delete an image that no VM uses',
    permission: 'image.delete',
    params: idParam('id or name'),
    object: { type: 'image', param: 'id' },
    response: operationSchema,
    status: 202,
  },
  'POST /images/download': {
    summary: 'Download an image by URL',
    permission: 'image.upload',
    project: 'body',
    body: z.strictObject({
      project: projectIdSchema,
      url: z.url({ protocol: /^https?$/ }).max(2048),
      name: nameSchema.optional().describe('made from the file name unless given'),
      kind: imageKindSchema.optional().describe('found out unless given'),
      sha256: sha256.optional(),
      sha512: sha512.optional(),
      checksumUrl: z
        .url({ protocol: /^https?$/ })
        .max(2048)
        .optional()
        .describe('SHA256SUMS, CHECKSUM or similar beside the image'),
    }),
    response: operationSchema,
    status: 202,
  },
  'POST /images/import': {
    summary: 'Copy a file of the host into the library',
    permission: 'host.configure',
    body: z.strictObject({
      project: projectIdSchema,
      path: z.string().min(2).max(4096).startsWith('/', 'use an absolute path'),
      name: nameSchema.optional(),
      kind: imageKindSchema.optional(),
      sha256: sha256.optional(),
    }),
    response: operationSchema,
    status: 202,
  },
  'GET /images/catalogue': {
    summary: 'Well-known systems',
    permission: 'image.read',
    list: true,
    query: z.object({ q: z.string().max(200).optional() }),
    response: pageOf(catalogueEntrySchema),
  },
  'POST /images/catalogue/check': {
    summary: 'Check online that each entry and its checksum are still there',
    permission: 'image.upload',
    body: z.strictObject({ ids: z.array(z.string().max(100)).max(200).optional() }).default({}),
    response: operationSchema,
    status: 202,
  },
  'POST /images/catalogue/{id}/download': {
    summary: 'Download a well-known system',
    permission: 'image.upload',
    project: 'body',
    params: idParam('catalogue id'),
    body: z
      .strictObject({ project: projectIdSchema, name: nameSchema.optional() })
      .default({ project: DEFAULT_PROJECT }),
    response: operationSchema,
    status: 202,
  },
  'POST /images/uploads': {
    summary: 'Begin a resumable upload',
    permission: 'image.upload',
    project: 'body',
    body: z.strictObject({
      project: projectIdSchema,
      name: nameSchema,
      kind: imageKindSchema.optional(),
      sizeBytes: z
        .int()
        .min(1)
        .max(64 * TIB),
      sha256: sha256.optional(),
    }),
    response: uploadSchema,
    status: 201,
  },
  'GET /images/uploads': {
    summary: 'List unfinished uploads',
    permission: 'image.upload',
    list: true,
    response: pageOf(uploadSchema),
  },
  'GET /images/uploads/{id}': {
    summary: 'How far an upload is',
    permission: 'image.upload',
    params: idParam('upload id'),
    object: { type: 'upload', param: 'id' },
    response: uploadSchema,
  },
  'PATCH /images/uploads/{id}': {
    summary: 'Send bytes from header Upload-Offset on (application/offset+octet-stream)',
    permission: 'image.upload',
    params: idParam('upload id'),
    object: { type: 'upload', param: 'id' },
    raw: 'upload',
    response: uploadSchema,
  },
  'DELETE /images/uploads/{id}': {
    summary: 'Give an upload up',
    permission: 'image.upload',
    params: idParam('upload id'),
    object: { type: 'upload', param: 'id' },
  },
});
