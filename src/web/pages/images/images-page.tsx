/** The image library, the catalogue of well-known systems, and the ways to bring an image in. */

import { useSignal } from '@preact/signals';
import { Button } from '../../components/button.tsx';
import { PageHead, Tabs } from '../../components/page.tsx';
import { can } from '../../state/api.ts';
import { images } from '../../state/library.ts';
import { text } from '../../text.ts';
import { DownloadDialog, ImportDialog, UploadDialog } from './add-dialogs.tsx';
import { Catalogue } from './catalogue.tsx';
import { Library } from './library.tsx';
import { Uploads } from './uploads.tsx';
import './images.css';

const words = text.images;

type Adding = 'upload' | 'download' | 'import' | null;

export function ImagesPage({ params }: { readonly params: Readonly<Record<string, string>> }) {
  const adding = useSignal<Adding>(null);
  const isCatalogue = params['tab'] === 'catalogue';
  const close = () => {
    adding.value = null;
  };
  const count = images.data.value?.size;
  return (
    <>
      <PageHead title={text.pages.images} note={count === undefined ? undefined : words.count(count)}>
        {can('host.configure') && <Button onClick={() => (adding.value = 'import')}>{words.import}</Button>}
        {can('image.upload') && (
          <>
            <Button icon="download" onClick={() => (adding.value = 'download')}>
              {words.download}
            </Button>
            <Button kind="primary" icon="upload" onClick={() => (adding.value = 'upload')}>
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
      {isCatalogue ? <Catalogue /> : <Library onUpload={() => (adding.value = 'upload')} />}
      {adding.value === 'upload' && <UploadDialog onClose={close} />}
      {adding.value === 'download' && <DownloadDialog onClose={close} />}
      {adding.value === 'import' && <ImportDialog onClose={close} />}
    </>
  );
}
