import { renderer } from '../../src/cli/render.js'
import type { View } from '../../src/cli/view/view.js'

/** What a command prints of a result, on no terminal. */
export async function viewText<Result>(view: View<Result>, result: Result): Promise<string> {
  return await view.text(result, await renderer({}))
}
