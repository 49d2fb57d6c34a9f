// Stands in for uvu where mutants are tried: tests are listed here, and run one by one, as often as is wanted.

export interface Listed {
  title: string;
  body: () => unknown;
}

/** The tests registered since it was last emptied. */
export const listed: Listed[] = [];

/** uvu's; what is to be done after the last test is not, since no test is the last one. */
export const test = Object.assign((title: string, body: () => unknown) => listed.push({ title, body }), {
  after: () => undefined,
  run: () => undefined,
});
export const suite = () => test;
