/** What places of copies can fail with, and copying itself. */

import { defineErrors } from '#kernel/errors.ts';

export const backupPlaceErrors = defineErrors({
  repository_elsewhere: {
    status: 409,
    title: 'The repository is a copy on another machine',
    hint: 'Back up to a repository of this host, and copy it there: `hv repo copy NAME`.',
  },
  copy_of_another: {
    status: 409,
    title: 'The place is no copy of this repository',
    hint: 'Give each repository a place of its own. If it is a copy that was damaged, repair its `repo.json` from the repository.',
  },
  copy_not_empty: {
    status: 409,
    title: 'The place of the copy is not empty',
    hint: 'Choose an empty folder or another prefix.',
  },
  copy_unsound: {
    status: 502,
    title: 'The place does not give back what it was given',
    hint: 'See to the disk or service over there, then copy again; nothing was counted as copied that did not come back.',
  },
  copy_incomplete: {
    status: 409,
    title: 'Not every restore point could be copied',
    hint: 'Check the repository: it names what is damaged. The next backup of these VMs heals what it can.',
  },
  copy_source_unreachable: {
    status: 502,
    title: 'The repository that is copied cannot be reached',
    hint: 'See that its folder is there and its disk is mounted; `hv repo show NAME` tells what is wrong.',
  },
  // Who copies waits and tries again by its own measure: a status of 503 would have each of its rounds repeated.
  place_unreachable: {
    status: 502,
    title: 'The place of the copy cannot be reached',
    hint: 'See that the other machine is on and reachable from here; the next copy goes on with what is missing.',
  },
  place_stalled: {
    status: 504,
    title: 'The place of the copy does not answer any more',
    hint: 'See that the other machine or mount is alive; the next copy goes on with what is missing.',
  },
  place_refused: {
    status: 409,
    title: 'The place of the copy does not accept the credentials',
    hint: 'Give those that it accepts: `hv repo edit NAME --password-file FILE` or `--private-key FILE`.',
  },
  place_credentials_lost: {
    status: 409,
    title: 'The credentials of the place cannot be opened',
    hint: 'The key that seals them did not come back with the state. Give them anew: `hv repo edit NAME --private-key FILE`, or with --password-file or --secret-key-file.',
  },
  place_denied: {
    status: 409,
    title: 'The place of the copy does not allow this',
    hint: 'The user over there needs the right to list, read and write below the folder or prefix of the copy.',
  },
  place_failed: {
    status: 502,
    title: 'The place of the copy failed',
    hint: 'See its log; the next copy goes on with what is missing.',
  },
  object_lock_missing: {
    status: 409,
    title: 'The bucket has no object lock',
    hint: 'Object lock is chosen when a bucket is made: make a new one with it, or copy without --lock-days.',
  },
  object_lock_ineffective: {
    status: 409,
    title: 'What is locked can be deleted all the same',
    hint: 'The service or these credentials set object lock aside. Use others, or copy without --lock-days and do not count on it.',
  },
  host_key_unknown: {
    status: 409,
    title: 'The key of the other host was not accepted yet',
    hint: 'Compare it with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` says over there, then give it with --host-key.',
  },
  host_key_changed: {
    status: 409,
    title: 'The other host shows another key than the one that was accepted',
    hint: 'If it was set up anew, compare the key over there and accept it: `hv repo edit NAME --host-key SHA256:…`. If not, somebody may be in between: send nothing there.',
  },
});
