import { isAppliance } from '../platform/appliance.js'
import { PackedStream } from './packed-stream.js'
import type { Output } from './sink.js'
import type { FilePacking } from './sink-compressed.js'
import { OvaStreamOutput, type ApplianceOptions } from './sink-ova.js'
import { StreamOutput, type OutputStream } from './sink-stream.js'

/** What puts an image into a stream: as it is, packed, or in an OVA. @param name of the target, where it has one. */
export function streamOutput(
  stream: OutputStream,
  name: string | undefined,
  packing: FilePacking | undefined,
  options: ApplianceOptions & { readonly to?: string },
): Output {
  if (isAppliance(options.to, name)) return new OvaStreamOutput(stream, options)
  return packing === undefined ? new StreamOutput(stream, options) : new PackedStream(stream, packing, options)
}
