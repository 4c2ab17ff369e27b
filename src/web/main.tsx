/** Starts the dashboard: who is signed in, then the frame with the page of the address. */

import './styles/tokens.css';
import './styles/base.css';
import './styles/components.css';
import './styles/frame.css';
import { render } from 'preact';
import { App } from './app.tsx';
import { startRouter } from './state/router.ts';
import { startTheme } from './state/theme.ts';

startTheme();
startRouter();
const root = document.getElementById('app');
if (root) render(<App />, root);
