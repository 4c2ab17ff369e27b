/** What a repository of backups can fail with: its folder, its keys, its locks and what lies in it. */

import { defineErrors } from '#kernel/errors.ts';

export const backupStoreErrors = defineErrors({
  repository_not_found: {
    status: 404,
    title: 'There is no repository in this folder',
    hint: 'Name the folder that holds `repo.json`; if it lies on a disk of its own, see that the disk is mounted.',
  },
  repository_exists: {
    status: 409,
    title: 'The folder is not empty',
    hint: 'Choose an empty folder, or add the repository that is already there.',
  },
  repository_locked: {
    status: 409,
    title: 'Other work in the repository does not allow this now',
    hint: 'Wait for the named work to end. What a killed process left is passed over after two minutes.',
  },
  repository_damaged: {
    status: 409,
    title: 'The settings of the repository are damaged',
    hint: 'Put back `repo.json` and `repo-copy.json` from a second copy of the repository; they never change.',
  },
  repository_unsupported: {
    status: 409,
    title: 'The repository was made by a newer version',
    hint: 'Update this program, then open it again.',
  },
  key_needed: {
    status: 409,
    title: 'This needs the key of the repository',
    hint: 'Give its key file, or type the recovery key that was shown when the repository was made.',
  },
  key_wrong: {
    status: 422,
    title: 'This key does not open the repository',
    hint: 'Use the key file of this very repository, or its recovery key as it was shown.',
  },
  point_not_found: {
    status: 404,
    title: 'There is no such restore point in the repository',
    hint: 'List the restore points; it may have been pruned.',
  },
  point_damaged: {
    status: 409,
    title: 'The restore point is damaged',
    hint: 'Repair the repository from a second copy, or use another restore point. A full backup writes what is missing anew as far as the disk still holds it.',
  },
  point_parent_unfit: {
    status: 409,
    title: 'The disk cannot go on from this restore point',
    hint: 'Read the whole disk, without a parent.',
  },
  backup_objects_lost: {
    status: 409,
    title: 'Pieces that were already stored vanished while the backup ran',
    hint: 'Run the backup again: what is missing is written anew.',
  },
  backup_lease_lost: {
    status: 409,
    title: 'This process was taken for dead by another one',
    hint: 'Run it again; the machine stood still for more than two minutes while it ran.',
  },
  prune_too_much: {
    status: 409,
    title: 'More would be deleted than allowed without asking',
    hint: 'Look at the preview; if that is meant, repeat it without the limit.',
  },
});
