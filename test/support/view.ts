import { renderer } from '../../src/cli/render.js'
import type { View } from '../../src/cli/view/view.js'

/** What a command prints of a result, on no terminal; `verbose`: with --verbose. */
export async function viewText<Result>(view: View<Result>, result: Result, verbose = false): Promise<string> {
  return await view.text(result, await renderer({}, verbose))
}
