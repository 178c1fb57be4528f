import { grouped } from '../../errors.js'
import type { CompareResult } from '../../operations/inspect/compare.js'
import { shortSize, sizeText, sourceText, type Renderer } from '../render.js'
import type { View } from './view.js'

type Differences = NonNullable<CompareResult['differences']>

export const view: View<CompareResult> = {
  async text(result, render) {
    const { first, second, same, sameContent, firstDifference, differences, strict, seconds } = result
    const heading = same
      ? 'The disks are the same'
      : sameContent
        ? 'The disks have the same content, and differ otherwise'
        : 'The disks differ'
    const facts = render.facts([
      ['first', `${sourceText(first)}, ${shortSize(first.capacity)}`],
      ['second', `${sourceText(second)}, ${shortSize(second.capacity)}`],
      [
        'capacities',
        strict?.sameCapacity === false ? `${sizeText(first.capacity)} and ${sizeText(second.capacity)}` : undefined,
      ],
      ['first difference', firstDifference === undefined ? undefined : `at offset ${firstDifference}`],
      ['different', differences === undefined || sameContent ? undefined : rangesText(differences)],
      [
        'stored in one only',
        strict === undefined || strict.allocation.count === 0 ? undefined : rangesText(strict.allocation),
      ],
      ['time', `${seconds.toFixed(1)} s`],
    ])
    return [
      render.heading(heading),
      facts,
      ...(await rangeList(render, 'different', differences)),
      ...(await rangeList(render, 'stored in one only', strict?.allocation)),
    ].join('\n')
  },
}

function rangesText({ count, bytes }: Pick<Differences, 'count' | 'bytes'>): string {
  return `${count === 1 ? '1 range' : `${grouped(count)} ranges`}, ${sizeText(bytes)}`
}

async function rangeList(render: Renderer, title: string, all: Differences | undefined): Promise<string[]> {
  if (all === undefined || all.ranges.length === 0) return []
  const { count, ranges } = all
  return [
    '',
    await render.table(
      [title, 'offset', 'length'],
      ranges.map(({ offset, length }, index) => [`  ${index + 1}`, String(offset), String(length)]),
    ),
    ...(count > ranges.length ? [`  and ${count - ranges.length} more; --ranges lists more of them`] : []),
  ]
}
