import { damaged } from './damage.js'
import { FileMap } from './file-map.js'

/** What a file allocation table says of a cluster. */
export type ClusterLink =
  { readonly kind: 'free' | 'bad' | 'end' } | { readonly kind: 'next'; readonly cluster: number }

/** A volume whose clusters, numbered from 2, are chained by a table. Sizes and positions are bytes of the volume. */
export interface ChainedVolume {
  readonly title: string
  readonly clusterSize: number
  readonly clusters: number
  /** Where cluster 2 begins. */
  readonly heapStart: number
  link(cluster: number): ClusterLink
}

/**
 * Where the clusters of a chain lie. Memory goes with the number of fragments.
 * @param length bytes wanted: the chain must be that long, and what follows is not looked at; undefined: to its end.
 * @param limit bytes at which a chain without a wanted length is refused.
 * @throws ImageError corrupt E_FS_CORRUPT: it is too short, runs in a circle, leaves the volume, or meets a free or bad
 * cluster.
 */
export function clusterChain(
  volume: ChainedVolume,
  first: number,
  length: number | undefined,
  limit = Infinity,
): FileMap {
  const { title, clusterSize, clusters, heapStart } = volume
  const map = new FileMap()
  let cluster = first
  // Brent: the mark moves on at every power of two, so a circle is found within three times its way.
  let mark = -1
  let steps = 0
  let power = 1
  while (length === undefined || map.length < length) {
    if (cluster < 2 || cluster >= clusters + 2)
      throw damaged(
        title,
        `a chain that begins at cluster ${first} leads to cluster ${cluster}, and there are clusters 2 to ` +
          `${clusters + 1}`,
      )
    if (cluster === mark)
      throw damaged(title, `the chain that begins at cluster ${first} runs in a circle at cluster ${cluster}`)
    if (++steps === power) {
      mark = cluster
      power *= 2
      steps = 0
    }
    map.push(clusterSize, heapStart + (cluster - 2) * clusterSize)
    if (map.length > limit)
      throw damaged(title, `the chain that begins at cluster ${first} is longer than the ${limit} bytes allowed`)
    const link = volume.link(cluster)
    if (link.kind === 'next') cluster = link.cluster
    else if (link.kind !== 'end')
      throw damaged(
        title,
        `the chain that begins at cluster ${first} breaks off: cluster ${cluster} is marked ${link.kind}`,
      )
    else if (length !== undefined && map.length < length)
      throw damaged(
        title,
        `the chain that begins at cluster ${first} has ${map.length} bytes, and ${length} are needed`,
      )
    else break
  }
  return map
}

/**
 * Clusters that follow each other without the table's help. @throws ImageError corrupt E_FS_CORRUPT when they leave the
 * volume.
 */
export function contiguousClusters(
  { title, clusterSize, clusters, heapStart }: ChainedVolume,
  first: number,
  length: number,
): FileMap {
  const map = new FileMap()
  if (length === 0) return map
  if (first < 2 || (first - 2) * clusterSize + length > clusters * clusterSize)
    throw damaged(title, `${length} bytes from cluster ${first} on leave the ${clusters} clusters there are`)
  map.push(length, heapStart + (first - 2) * clusterSize)
  return map
}
