/* Puts a StubKey behind navigator.credentials: what a page asks of a security key is asked of the test that served this script.
 *
 * Comes only from webapp/testing/browser.py, before every other script of a page. Changes nothing else of the browser: what is not a
 * public key is asked of the browser itself, and a page that is not secure has no keys here either.
 */
(function () {
  "use strict";

  if (!window.isSecureContext) return;

  var room = document.currentScript.src.replace(/[^/]*$/, "");

  function isBuffer(value) { return ArrayBuffer.isView(value) || Object.prototype.toString.call(value) === "[object ArrayBuffer]"; }

  function base64url(buffer) {
    var raw = Array.prototype.map.call(new Uint8Array(buffer.buffer || buffer, buffer.byteOffset || 0, buffer.byteLength), function (b) {
      return String.fromCharCode(b);
    }).join("");
    return btoa(raw).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  }

  function bytes(text) {
    var raw = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(raw, function (c) { return c.charCodeAt(0); }).buffer;
  }

  /* The options as JSON has them (WebAuthn L3 §5.1.8 and §5.1.9, the other way round). */
  function json(value) {
    if (isBuffer(value)) return base64url(value);
    if (Array.isArray(value)) return value.map(json);
    if (!value || typeof value !== "object") return value;
    var copy = {};
    Object.keys(value).forEach(function (name) { copy[name] = json(value[name]); });
    return copy;
  }

  /* An object of this browser's own kind, where it has that kind, with these properties. */
  function made(kind, properties) {
    var described = {};
    Object.keys(properties).forEach(function (name) { described[name] = { value: properties[name], enumerable: true }; });
    return Object.create(window[kind] ? window[kind].prototype : Object.prototype, described);
  }

  /* What the page gets: WebAuthn L3 §5.1 and §5.2, out of the JSON that its toJSON() gives. */
  function credential(answer) {
    var response = {};
    ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"].forEach(function (name) {
      if (name in answer.response) response[name] = answer.response[name] === null ? null : bytes(answer.response[name]);
    });
    if (answer.response.transports) response.getTransports = function () { return answer.response.transports.slice(); };
    return made("PublicKeyCredential", {
      id: answer.id,
      rawId: bytes(answer.rawId),
      type: answer.type,
      authenticatorAttachment: answer.authenticatorAttachment,
      response: made(response.attestationObject ? "AuthenticatorAttestationResponse" : "AuthenticatorAssertionResponse", response),
      getClientExtensionResults: function () { return answer.clientExtensionResults; },
      toJSON: function () { return answer; }
    });
  }

  function ask(kind, request) {
    var sent = { method: "POST", body: JSON.stringify(json(request.publicKey)) };
    if (request.signal) sent.signal = request.signal;
    return fetch(room + kind, sent).then(function (response) { return response.json(); }).then(function (said) {
      if (said.error) throw new DOMException(said.message, said.error);
      return credential(said);
    });
  }

  var credentials = navigator.credentials || {};
  ["create", "get"].forEach(function (kind) {
    var real = credentials[kind] ? credentials[kind].bind(credentials) : function () { return Promise.resolve(null); };
    credentials[kind] = function (request) { return request && request.publicKey ? ask(kind, request) : real(request); };
  });
  if (!navigator.credentials) Object.defineProperty(navigator, "credentials", { value: credentials });
  if (!window.PublicKeyCredential) window.PublicKeyCredential = function () {};
})();
