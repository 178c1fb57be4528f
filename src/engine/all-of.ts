/**
 * What several pieces of work give. All are awaited even when one fails: nothing may still use their memory and files
 * afterwards. @throws what the first of them throws.
 */
export async function allOf<Parts extends readonly unknown[] | []>(
  parts: Parts,
): Promise<{ -readonly [Index in keyof Parts]: Awaited<Parts[Index]> }> {
  await Promise.allSettled(parts)
  return await Promise.all(parts)
}
