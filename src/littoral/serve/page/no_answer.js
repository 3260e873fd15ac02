// Why there is no answer: what an engine throws, and the page tells.

export class NoAnswer extends Error {
  /**
   * `kind` names the words for it. "locked": the server asks for a key, which `open` takes. "refused": of an image, the
   * `detail` says why. "declined": of the whole request.
   */
  constructor(kind, detail = "", open = null) {
    super(detail || kind);
    this.kind = kind;
    this.detail = detail;
    this.open = open;
  }
}
