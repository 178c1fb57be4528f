import { blocksOfCluster } from './structs.js'

/** The mask of a cluster: bit b says whether block b is stored. */

const all = 0xffff

export function isStored(mask: number, block: number): boolean {
  return ((mask >>> block) & 1) === 1
}

/** How many blocks are stored before one of a cluster; of `blocksOfCluster`: all that are. */
export function storedBefore(mask: number, block: number = blocksOfCluster): number {
  if (mask === all) return block
  let count = 0
  for (let bit = 0; bit < block; bit++) count += (mask >>> bit) & 1
  return count
}
