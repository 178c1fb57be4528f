import type { ViewReady } from '../../operations/view/view.js'
import type { View } from './view.js'

/** What is printed once a browser can connect. */
export const view: View<ViewReady> = {
  text({ url, images, restores }, render) {
    return [
      render.heading('Open this address in a browser of this machine'),
      `  ${url}`,
      render.facts([
        ['images', images.length === 0 ? undefined : images.join(', ')],
        ['restoring', restores ? 'offered: a disk is overwritten once you have typed its name' : undefined],
      ]),
      'Keep the address to yourself: it opens the images. Ctrl-C ends it.',
    ].join('\n')
  },
}
