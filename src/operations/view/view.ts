import type { Registry } from '../../formats/registry.js'
import type { ReadOptions } from '../open/opening.js'
import { openReadableLater } from '../open/opening.js'
import type { ViewPages } from './pages.js'
import { PageServer } from './server.js'
import { ViewSite } from './site.js'

export interface ViewOptions extends ReadOptions {
  readonly registry: Registry
  readonly pages: ViewPages
  /** Whether images may be restored to disks of this machine from the pages. */
  readonly restore?: boolean
  /** 0 and left out: any that is free. */
  readonly port?: number
  /** Ends it. */
  readonly signal: AbortSignal
  /** Browsers can connect from now on. */
  readonly onReady: (ready: ViewReady) => void | Promise<void>
}

export interface ViewReady {
  /** The address, with the token that only it has. */
  readonly url: string
  readonly images: readonly string[]
  readonly restores: boolean
}

/**
 * Serves pages about images to a browser of this machine until the signal fires; a restoring that goes on is stopped
 * then, as Ctrl-C stops `vdisk restore`. The images are only read.
 * @throws ImageError those of opening an image; target E_LISTEN.
 */
export async function viewImages(images: readonly string[], options: ViewOptions): Promise<void> {
  const { registry, pages, restore = false, port = 0, signal, onReady, ...reading } = options
  for (const image of images) (await openReadableLater(image, { ...reading, registry }))[Symbol.dispose]()
  await using site = new ViewSite(images, { reading: { ...reading, registry }, pages, restores: restore })
  await using server = new PageServer((request) => site.answer(request))
  site.root = `/${server.token}/`
  await server.listen(port)
  await onReady({ url: server.url, images, restores: restore })
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
