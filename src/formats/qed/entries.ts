import { feature } from './structs.js'

/** An entry that says that a cluster is zero; 0 says nothing of it. */
export const zeroCluster = 1

export function hasFeature(features: bigint, bit: bigint): boolean {
  return (features & bit) !== 0n
}

export function unknownFeatures(features: bigint): bigint {
  return features & ~(feature.backingFile | feature.needCheck | feature.backingIsRaw)
}
