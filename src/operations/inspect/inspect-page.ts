import { usage } from '../../errors.js'
import type { OpenedImage } from '../../formats/open.js'
import type { Volume } from '../files/volume-files.js'
import { diskCells, type CellRow } from './disk-cells.js'
import { examine, type InspectOptions, type InspectResult } from './inspect.js'
import { openReadableLater } from '../open/opening.js'
import { checkTarget, TargetFiles } from '../transfer/target.js'

export interface InspectPageOptions extends InspectOptions {
  /** Replaces a file that exists, once the new one is complete. */
  readonly force?: boolean
}

/**
 * Inspects an image and writes what is on it as a page. The page stands under its name when it is complete; on any
 * failure what was there
 * is untouched. It never replaces a file of the image.
 * @param page makes the page's text of what was found.
 * @throws ImageError of inspecting; usage E_STREAM; target E_EXISTS, E_IS_FOLDER, E_NO_FOLDER, E_WRITE; refused
 * E_SAME_FILE, E_BLOCK_DEVICE; aborted.
 */
export async function inspectToPage(
  argument: string,
  target: string,
  page: (result: InspectResult, rows: readonly CellRow[]) => string,
  options: InspectPageOptions = {},
): Promise<InspectResult> {
  return await writePage(argument, target, options, (_opened, result, _volumes, rows) => page(result, rows))
}

/** The same with a page of another's making. @param page may look into the volumes, which are open. */
export async function writePage(
  argument: string,
  target: string,
  options: InspectPageOptions,
  page: (
    opened: OpenedImage,
    result: InspectResult,
    volumes: readonly Volume[],
    rows: readonly CellRow[],
  ) => string | Promise<string>,
): Promise<InspectResult> {
  const { force = false, ...opening } = options
  if (target === '-') throw usage('E_STREAM', 'the page is written to a file, not to standard output')
  using opened = await openReadableLater(argument, opening)
  const sources = opened.files
  const place = checkTarget(target, force, sources, options)
  const { result, volumes } = examine(argument, opened)
  const text = await page(opened, result, volumes, await diskCells(opened, volumes, opening.signal))
  using files = new TargetFiles(place, { force, sources, durable: true })
  files.store.write(0, Buffer.from(text, 'utf8'))
  files.commit()
  return result
}
