/** The part of WebAssembly that is used here; Node's types leave it to those of browsers. */
declare const WebAssembly: {
  readonly Memory: new (descriptor: { initial: number; maximum: number; shared: true }) => {
    readonly buffer: SharedArrayBuffer
  }
}

/** Bytes; what page-aligned memory comes in. */
export const memoryPage = 65536

/**
 * Memory that begins at a page, which passing by the page cache needs: WebAssembly's is the one kind that Node aligns
 * to more than
 * 16 bytes. Few and large: each reserves gigabytes of addresses. `length`: a multiple of {@link memoryPage}.
 */
export function pageAlignedMemory(length: number): SharedArrayBuffer {
  const pages = length / memoryPage
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }).buffer
}
