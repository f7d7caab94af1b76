/** What this project uses of `@std/http/status`; the npm copy brings no declarations. */
export declare const STATUS_CODE: {
  readonly OK: 200;
  readonly NotModified: 304;
  readonly BadRequest: 400;
  readonly Forbidden: 403;
  readonly NotFound: 404;
  readonly MethodNotAllowed: 405;
  readonly URITooLong: 414;
  readonly InternalServerError: 500;
  readonly ServiceUnavailable: 503;
};
