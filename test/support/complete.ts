/**
 * Whether every test must run: `.ci/run` sets this variable. Elsewhere (also with CI=true) a test whose tools are not
 * installed is skipped, visibly.
 */
export const allTestsMustRun = process.env['VDISK_ALL_TESTS'] !== undefined

/** The reason to skip a test, handed on; where every test must run it is an error instead. */
export function skipReason(missing: string | undefined): string | undefined {
  if (missing !== undefined && allTestsMustRun) throw new Error(`${missing}, and VDISK_ALL_TESTS is set`)
  return missing
}
