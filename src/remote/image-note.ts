/** Where an object says which disk it is the image of (docs/schemas/image-record.json): a registry's annotation. */
export const recordAnnotation = 'vdisk.image-record'
/** The same of a page blob: the name of its mark. */
export const recordMark = 'vdiskimagerecord'
/** No record that is read from there has more characters. */
const longestNote = 32_768

/** What an object says of itself, where it is no longer than a record may be there. */
export function noteOf(text: unknown): string | undefined {
  return typeof text === 'string' && text.length <= longestNote ? text : undefined
}
