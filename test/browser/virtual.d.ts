/** Made by ./harness.ts when it bundles the page: every file of kernels/, by its path without the ending. */
declare module "virtual:kernels" {
  export const kernels: ReadonlyMap<string, string>;
}
