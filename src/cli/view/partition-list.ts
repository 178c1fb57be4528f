import type { InspectResult } from '../../operations/inspect/inspect.js'
import { partitionTable, problems } from './inspect.js'
import { schemeTitle } from './inspect-facts.js'
import type { View } from './view.js'

/** The table of partitions alone. */
export const view: View<InspectResult> = {
  warnings: () => [],
  async text(disk, render) {
    const head = `${disk.image.path}: ${schemeTitle(disk)}, sectors of ${disk.sectorSize} bytes`
    return [
      render.heading(head),
      ...(disk.partitions.length === 0
        ? ['  no partitions']
        : [await partitionTable(disk, render, { rows: 14, sectors: true })]),
      ...problems(disk, render),
    ].join('\n')
  },
}
