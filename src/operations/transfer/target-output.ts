import { aborted, usage } from '../../errors.js'
import type { OptionValues } from '../../formats/driver.js'
import type { Registry } from '../../formats/registry.js'
import { NbdLocation } from '../../location/nbd.js'
import { isAppliance } from '../platform/appliance.js'
import type { FileSession } from '../resume/file-session.js'
import { targetFormat, type TargetFormat } from './layout.js'
import type { Output } from './sink.js'
import { CompressedOutput, compressedTarget, type FilePacking } from './sink-compressed.js'
import { ExportOutput } from './sink-export.js'
import { FileOutput } from './sink-file.js'
import { OvaOutput } from './sink-ova.js'
import type { OutputStream } from './sink-stream.js'
import { UploadOutput, type UploadOptions } from './sink-upload.js'
import { streamOutput } from './stream-output.js'

/**
 * Where an image goes: a path, the URI of an NBD export (which gets the disk's bytes), the address of an object of
 * another computer (of a scheme that takes them), or something that takes its bytes in order (standard output).
 */
export type TargetOutput = string | OutputStream

/** What a target is, by its address. @throws ImageError usage E_NBD_URI, E_TARGET. */
export function outputOf(
  target: TargetOutput,
  options: UploadOptions & { readonly session?: FileSession },
  packing: FilePacking | undefined,
): Output {
  if (typeof target !== 'string') return streamOutput(stoppable(target, options.signal), undefined, packing, options)
  const { schemes } = options.registry
  const location = schemes.locate(target)
  if (location instanceof NbdLocation) return new ExportOutput(location, options)
  if (location.upload !== undefined) return new UploadOutput(location, location.upload(), packing, options)
  if (location.path === undefined)
    throw usage('E_TARGET', `the target ${location.label} is ${schemes.of(target).title}, which is only read`, {
      hint:
        'Give the name of a file as the target, and send that file: curl --upload-file FILE ADDRESS (WebDAV, signed ' +
        'addresses of S3). Images go directly to ssh://, oci:// and page blobs of Azure, and to what plug-ins know: ' +
        's3://bucket/key.',
    })
  if (isAppliance(options.to, target)) return new OvaOutput(target, options)
  const named = compressedTarget(target)
  const packed = packing === undefined ? named : { ...packing, inner: named?.inner ?? target }
  return packed === undefined
    ? new FileOutput(target, { ...options, resume: options.session })
    : new CompressedOutput(target, packed, options)
}

/** A stream whose wait for its reader ends with a signal: the reader may never take the bytes. */
function stoppable(stream: OutputStream, signal: AbortSignal | undefined): OutputStream {
  if (signal === undefined) return stream
  const { name, fileName, file, planned, zeros } = stream
  return {
    name,
    fileName,
    file,
    output: async (bytes) => await unlessAborted(stream.output(bytes), signal),
    planned:
      planned === undefined ? undefined : async (size) => await unlessAborted(planned.call(stream, size), signal),
    zeros: zeros === undefined ? undefined : async (length) => await unlessAborted(zeros.call(stream, length), signal),
  }
}

/** @throws ImageError aborted E_ABORTED, and what the work throws. */
async function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  let stop: () => void = () => undefined
  const stopped = new Promise<never>((_, reject) => {
    stop = () => reject(aborted())
  })
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  try {
    await Promise.race([work, stopped])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** What a target is called: of an address of another computer the name of the object alone. */
export function namedTarget(target: TargetOutput, registry: Registry): string | object {
  const place = typeof target === 'string' ? registry.schemes.locate(target) : undefined
  return place?.upload === undefined ? target : (place.name ?? {})
}

/** The format of a target, as it usually is there. @throws ImageError usage, as {@link targetFormat}. */
export function usualFormat(
  { formatName, usual = {} }: Pick<Output, 'formatName' | 'usual'>,
  registry: Registry,
  to: string | undefined,
  chosen: OptionValues,
): TargetFormat {
  const format = targetFormat(registry, formatName, to, chosen)
  const options = usual[format.driver.id]
  return options === undefined ? format : targetFormat(registry, formatName, to, { ...options, ...chosen })
}
