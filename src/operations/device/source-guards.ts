import { effectOf } from '../../device/bytes.js'
import { sharedDisks } from '../../device/safety.js'
import type { Place } from '../../device/types.js'
import { targetPath, type Refusal, type TargetFacts } from './target-facts.js'

/** What is read lies on what is written. A partition may be written while another one of its disk is read. */
export function sourceRefusals(facts: TargetFacts): Refusal[] {
  const { disk, partition, sourceDevices, sourcePlace, sourceDisk, content } = facts
  if (
    facts.targetIsSource === true ||
    (sourceDisk !== undefined && sourceDevices.includes(partition?.deviceNumber ?? disk.deviceNumber))
  ) {
    return [
      {
        guard: 'source',
        code: 'E_SAME_DEVICE',
        reasons: [`${content.name} is read from ${targetPath(facts)} itself`],
        hint: 'No flag overrides this.',
      },
    ]
  }
  const byBytes = bytesRefusals(facts)
  if (byBytes !== undefined) return byBytes
  const { verdict } = sharedDisks(below(sourcePlace), { disks: [disk.name], elsewhere: [], unknown: [] })
  const others = disk.partitions.filter(({ deviceNumber }) => deviceNumber !== partition?.deviceNumber)
  const isBeside =
    partition !== undefined &&
    sourceDevices.length > 0 &&
    sourceDevices.every((device) => others.some(({ deviceNumber }) => deviceNumber === device))
  const changesSource = sourceDisk !== undefined && below(facts.place).disks.includes(sourceDisk) && !isBeside
  if ((verdict !== 'same' || isBeside) && !changesSource) return []
  const reason =
    verdict === 'same'
      ? `${content.name}, which is read, lies on ${disk.path}, which is to be written`
      : `${targetPath(facts)} lies on ${sourceDisk ?? ''}, which is read`
  return [
    {
      guard: 'source',
      code: 'E_SOURCE_ON_TARGET',
      override: 'allowSourceOnTarget',
      reasons: [reason],
      hint:
        'Writing would destroy what is still to be read. Take another disk for one of them; ' +
        '--allow-source-on-target overrides this.',
    },
  ]
}

/** By where the bytes lie: links, loops, offsets and names do not matter. */
function bytesRefusals({ trail, sourceTrail, content, ...facts }: TargetFacts): Refusal[] | undefined {
  if (trail === undefined || sourceTrail === undefined) return undefined
  const effect = effectOf(trail, sourceTrail)
  if (effect === undefined) return []
  const path = targetPath(facts)
  if (effect === 'same')
    return [
      {
        guard: 'source',
        code: 'E_SOURCE_ON_TARGET',
        reasons: [`${content.name}, which is read, and ${path}, which is to be written, share bytes`],
        hint: 'Take another disk for one of them. No flag overrides this.',
      },
    ]
  return [
    {
      guard: 'source',
      code: 'E_SOURCE_ON_TARGET',
      override: 'allowSourceOnTarget',
      reasons: [
        effect === 'beneath'
          ? `${content.name}, which is read, lies on ${path}, which is to be written`
          : `${path} lies on ${content.name}, which is read`,
      ],
      hint:
        'Writing would destroy what is still to be read. Take another disk for one of them; ' +
        '--allow-source-on-target overrides this.',
    },
  ]
}

/** All devices that a place rests on. */
function below(place: Place): Place {
  return { ...place, disks: [...new Set([...place.disks, ...(place.through ?? [])])] }
}
