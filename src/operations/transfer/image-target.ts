/**
 * A new image, as results name it. `size` is bytes of the new files, `allocated` those that the filesystem holds for
 * them; neither is known of a dry run.
 */
export interface ImageTarget {
  readonly path: string
  readonly format: string
  readonly capacity: number
  readonly sectorSize: number
  readonly size?: number
  readonly allocated?: number
}
