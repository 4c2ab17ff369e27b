/** A document for xterm.js that keeps to our content security policy.
 *  xterm.js 6 makes `<style>` elements and sets `style` attributes, which `style-src 'self'` forbids. Through this stand-in its rules go into
 *  a constructed style sheet and its attributes through the CSSOM, which the policy allows. (xterm.js option `documentOverride`) */

export function strictDocument(): Document {
  return new Proxy(document, {
    get(target, property) {
      if (property === 'createElement') return createElement;
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
    set: (target, property, value) => Reflect.set(target, property, value, target),
  });
}

function createElement(name: string): HTMLElement {
  if (name === 'style') return styleStandIn();
  const element = document.createElement(name);
  const setAttribute = element.setAttribute.bind(element);
  element.setAttribute = (attribute, value) => {
    if (attribute === 'style') element.style.cssText = value;
    else setAttribute(attribute, value);
  };
  return element;
}

/** An empty element whose text becomes a style sheet of the document as long as the element is not removed. */
function styleStandIn(): HTMLElement {
  const element = document.createElement('span');
  element.hidden = true;
  const sheet = new CSSStyleSheet();
  document.adoptedStyleSheets.push(sheet);
  Object.defineProperty(element, 'textContent', {
    get: () => [...sheet.cssRules].map((rule) => rule.cssText).join('\n'),
    set: (css: string) => sheet.replaceSync(css),
  });
  element.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((other) => other !== sheet);
    HTMLElement.prototype.remove.call(element);
  };
  return element;
}
