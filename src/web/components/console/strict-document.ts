/** Lets xterm.js 6 live under our content security policy, whose `style-src 'self'` forbids `<style>` elements and `style` attributes.
 *  Its rules go into constructed style sheets and its attributes through the CSSOM; the policy allows both and the result is the same.
 *  Measured on 6.0.0: the renderer asks the document of the option `documentOverride`, the scroll bar and the row factory ask the global one. */

/** A document that makes no `<style>` elements, for the option `documentOverride`. */
export function strictDocument(): Document {
  return new Proxy(document, {
    get(target, property) {
      if (property === 'createElement') return createStrictly;
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
    set: (target, property, value) => Reflect.set(target, property, value, target),
  });
}

/** Runs `open` while the page's own document makes no `<style>` elements either. */
export function withoutStyleElements(open: () => void): void {
  document.createElement = createStrictly;
  try {
    open();
  } finally {
    // The own property goes, the method of the prototype is back.
    Reflect.deleteProperty(document, 'createElement');
  }
}

const setAttribute = HTMLElement.prototype.setAttribute;

/** From now on a `style` attribute set by a script is set through the CSSOM. Does nothing the second time. */
export function allowStyleAttributes(): void {
  HTMLElement.prototype.setAttribute = function setStrictly(name, value) {
    if (name === 'style') this.style.cssText = value;
    else setAttribute.call(this, name, value);
  };
}

const createElement = Document.prototype.createElement;

function createStrictly(name: string, options?: ElementCreationOptions): HTMLElement {
  if (name !== 'style') return createElement.call(document, name, options);
  const standIn = createElement.call(document, 'span');
  standIn.hidden = true;
  const sheet = new CSSStyleSheet();
  document.adoptedStyleSheets.push(sheet);
  Object.defineProperty(standIn, 'textContent', {
    get: () => [...sheet.cssRules].map((rule) => rule.cssText).join('\n'),
    set: (css: string) => sheet.replaceSync(css),
  });
  standIn.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((other) => other !== sheet);
    HTMLElement.prototype.remove.call(standIn);
  };
  return standIn;
}
