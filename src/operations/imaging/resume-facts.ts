import { printable, refused } from '../../errors.js'
import type { DiskShape, ImageIdentity } from '../../formats/driver.js'
import type { NamedDevice } from '../device/argument.js'
import { compressorFact, recordedFacts, formatFacts, optionFacts } from '../resume/facts.js'
import type { FileSession } from '../resume/file-session.js'
import { imageIdentity } from '../transfer/identity.js'
import { tryLayout, type TargetFormat } from '../transfer/layout.js'
import { heatText, type Heat } from './guards.js'
import type { RecordedSource } from './record.js'

/** What was asked for. */
interface Asked {
  readonly uuid?: string
  readonly time?: number
  readonly for?: string
  readonly usedOnly?: object
  readonly parts?: readonly number[]
  readonly sparse?: number
  readonly toolVersion?: string
}

/** The ids and the time of an image: those of an earlier run, where one is gone on with. */
export function identityOf(
  { uuid, time }: Pick<Asked, 'uuid' | 'time'>,
  session: FileSession | undefined,
): ImageIdentity {
  const before = session?.identity
  return imageIdentity(uuid ?? before?.uuid, time ?? before?.time)
}

/**
 * Holds the image that is to be made against what an earlier run began.
 * @throws ImageError refused E_RESUME_OPTIONS; E_RESUME_SOURCE for another disk, and for one that changes: what was
 * copied is not what it is now.
 */
export function beginImage(
  session: FileSession,
  {
    device,
    heat,
    format,
    shape,
    source,
  }: {
    readonly device: NamedDevice
    readonly heat: Heat
    readonly format: TargetFormat
    readonly shape: DiskShape
    readonly source: RecordedSource
  },
  options: Asked,
): void {
  if (session.identity !== undefined && heat.hot)
    throw refused(
      'E_RESUME_SOURCE',
      `the image of ${printable(device.name)} cannot be resumed while the disk changes: ${heatText(heat)}`,
      { hint: 'Stop what writes to it first.' },
    )
  const { usedOnly, parts, sparse, toolVersion = '' } = options
  session.begin({
    version: toolVersion,
    identity: { uuid: shape.identity.uuid, time: shape.identity.time },
    source: recordedFacts(source, device.size),
    options: optionFacts({
      to: format.driver.id,
      option: formatFacts(format.options),
      for: options.for,
      'sector-size': shape.sectorSize,
      sparse,
      parts,
      'used-only': usedOnly,
      compressor: compressorFact(tryLayout(format, shape).packedUnit),
    }),
  })
}
