/** One option of a format. From it come flags, help, `vdisk formats`, and validation. */
export interface OptionSpec {
  /** As typed after -o: `block-size`. */
  readonly name: string
  readonly type: 'size' | 'integer' | 'boolean' | 'choice' | 'string'
  readonly choices?: readonly string[]
  readonly default?: string | number | boolean
  readonly summary: string
  /**
   * Set where the option has a flag of its own, `--block-size`. Options of one name in several formats share it; the
   * first format says what its help says.
   */
  readonly flag?: { readonly value: string; readonly summary: string }
}
export type OptionValues = Readonly<Record<string, string | number | boolean | undefined>>

/** The options that formats share, each with its flag: a format says what its own values are. */
type OfFormat = Pick<OptionSpec, 'choices' | 'default' | 'summary'>

/** The kind of image within a format. */
export function subformatOption(values: OfFormat): OptionSpec {
  const flag = { value: 'NAME', summary: 'kind of image within the format' }
  return { name: 'subformat', type: 'choice', ...values, flag }
}

/** The unit of allocation. @param name as the format's specification calls it. */
export function unitOption(name: 'block-size' | 'cluster-size', values: Omit<OfFormat, 'choices'>): OptionSpec {
  return { name, type: 'size', ...values, flag: { value: 'SIZE', summary: 'allocation unit of the target' } }
}

/** For reading, of formats that keep checksums. */
export const ignoreChecksums = {
  name: 'ignore-checksums',
  type: 'boolean',
  default: false,
  summary: 'read on although a checksum is wrong, with a warning',
} as const satisfies OptionSpec

/** For errors of a checksum, where the format has that option. */
export const ignoreChecksumsHint =
  '--from-option ignore-checksums=true reads it nevertheless; check the result with care.'
