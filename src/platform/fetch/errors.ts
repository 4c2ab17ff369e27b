/** What can go wrong when we fetch something over HTTP, as codes that leave the process. */

import { defineErrors, registerErrors } from '#kernel/errors.ts';

export const fetchErrors = defineErrors({
  url_refused: {
    status: 422,
    title: 'This address cannot be fetched',
    hint: 'Give an http:// or https:// address without user name or password.',
  },
  address_refused: {
    status: 422,
    title: 'The address leads to a private or local machine',
    hint: 'If that machine is meant, an administrator adds it to `images.allowPrivateHosts` in the configuration.',
  },
  redirect_refused: {
    status: 422,
    title: 'The server sends the request on to where it may not go',
    hint: 'Give the final address itself.',
  },
  download_failed: {
    status: 502,
    title: 'The server did not deliver it',
    hint: 'Open the address in a browser, or try again later.',
  },
  download_stalled: {
    status: 502,
    title: 'The transfer stood still',
    hint: 'Try again: the download goes on where it stopped. If it stays so, use another mirror.',
  },
  download_too_large: {
    status: 422,
    title: 'It is larger than allowed',
    hint: 'Raise the size limit, or choose a smaller image.',
  },
});

registerErrors(fetchErrors);
