import type { UnmountedImage } from '../../operations/mount/unmount.js'
import type { FactRow, View } from './view.js'

export const view: View<{ readonly images: readonly UnmountedImage[] }> = {
  text: ({ images }, render) =>
    images
      .flatMap(({ image, points, devices, closed, overlay }) => [
        render.heading('Unmounted'),
        render.facts([
          ['image', image],
          ...points.map((point): FactRow => ['from', point]),
          ...devices.map((device): FactRow => ['detached', device]),
          ['changes in', overlay],
          ['closed', closed ? 'yes, everything is written' : 'not yet: it is still in use'],
        ]),
      ])
      .join('\n'),
}
