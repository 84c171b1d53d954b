// Material asks for the index of the search (1 MB) when a page opens. Here this request waits until a reader searches.
(() => {
  const index = /\/search\/search_index\.js(on)?$/;
  const wanted = new Promise(resolve => {
    document.addEventListener("focusin", event => event.target.matches(".md-search__input") && resolve());
    document.addEventListener("change", event => event.target.id === "__search" && resolve());
  });
  const { open, send } = XMLHttpRequest.prototype;
  XMLHttpRequest.prototype.open = function (method, url, ...rest) {
    this.waits = index.test(url);
    return open.call(this, method, url, ...rest);
  };
  XMLHttpRequest.prototype.send = function (...body) {
    this.waits ? wanted.then(() => send.apply(this, body)) : send.apply(this, body);
  };
  // In pages that are opened from a folder the index is a script.
  document.head.appendChild = function (node) {
    if (!index.test(node.src)) return Node.prototype.appendChild.call(this, node);
    wanted.then(() => Node.prototype.appendChild.call(this, node));
    return node;
  };
})();
