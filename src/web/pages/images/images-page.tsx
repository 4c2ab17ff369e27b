/** The image library, the catalogue of well-known systems, and the ways to bring an image in. */

import { Button } from '../../components/button.tsx';
import { PageHead, Tabs } from '../../components/page.tsx';
import { can } from '../../state/api.ts';
import { images } from '../../state/library.ts';
import { currentQuery, setQuery } from '../../state/router.ts';
import { text } from '../../text.ts';
import { DownloadDialog, ImportDialog, UploadDialog } from './add-dialogs.tsx';
import { Catalogue } from './catalogue.tsx';
import { Library } from './library.tsx';
import { Uploads } from './uploads.tsx';
import './images.css';

const words = text.images;

const WAYS = ['upload', 'download', 'import'] as const;

export function ImagesPage({ params }: { readonly params: Readonly<Record<string, string>> }) {
  // In the address, so that other pages can lead straight to it.
  const adding = WAYS.find((way) => way === currentQuery.value.get('add'));
  const add = (way: (typeof WAYS)[number]) => () => setQuery({ add: way });
  const close = () => setQuery({ add: null });
  const isCatalogue = params['tab'] === 'catalogue';
  const count = images.data.value?.size;
  return (
    <>
      <PageHead title={text.pages.images} note={count === undefined ? undefined : words.count(count)}>
        {can('host.configure') && <Button onClick={add('import')}>{words.import}</Button>}
        {can('image.upload') && (
          <>
            <Button icon="download" onClick={add('download')}>
              {words.download}
            </Button>
            <Button kind="primary" icon="upload" onClick={add('upload')}>
              {words.upload}
            </Button>
          </>
        )}
      </PageHead>
      <Tabs
        label={text.pages.images}
        current={isCatalogue ? 'catalogue' : 'library'}
        tabs={[
          { id: 'library', label: words.library, href: '/images' },
          { id: 'catalogue', label: words.catalogue, href: '/images/catalogue' },
        ]}
      />
      {can('image.upload') && <Uploads />}
      {isCatalogue ? <Catalogue /> : <Library onUpload={add('upload')} />}
      {adding === 'upload' && can('image.upload') && <UploadDialog onClose={close} />}
      {adding === 'download' && can('image.upload') && <DownloadDialog onClose={close} />}
      {adding === 'import' && can('host.configure') && <ImportDialog onClose={close} />}
    </>
  );
}
