/**
 * Limit of a worker thread's heap. What a worker keeps stays far below it. The limit makes V8 collect the memory of
 * units that were decoded or compressed: Node 24 lets a worker of no limit keep 50 MiB of it and more.
 */
export const workerHeap = { maxOldGenerationSizeMb: 64 } as const
