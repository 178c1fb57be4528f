import { parentPort, workerData } from 'node:worker_threads'
import { printable } from '../../errors.js'
import type { Registry } from '../../formats/registry.js'
import { FuseSession } from '../../mount/fuse/session.js'
import { syscalls } from '../../sys/syscalls.js'
import { selectPartition } from '../../partition/index.js'
import { tableTitles } from '../partition/table-overlap.js'
import type { Progress } from '../progress.js'
import { openExposedLater, type Exposure } from '../serve/exposed-disk.js'
import { shownFiles } from './files.js'
import type { OpenRequest, ThreadOrder, ThreadReport } from './messages.js'
import type { ShownFile } from './session.js'
import { toWire } from './wire.js'

/**
 * A thread that serves one mounted image: it opens the image itself, reports what it found, and answers the kernel
 * until it is unmounted.
 */
const port = parentPort
const report = (message: ThreadReport): void => port?.postMessage(message)

try {
  const exposure = await open(workerData as OpenRequest)
  const { image, partition } = workerData as OpenRequest
  const { files, notes } = shownFiles(exposure)
  const selected = partition === undefined ? undefined : selectPartition(exposure.table, partition, image).number
  const {
    format,
    subformat,
    disk: { capacity, sectorSize },
  } = exposure
  port?.once('message', (order: ThreadOrder) => {
    report({
      kind: 'ended',
      ...errorOf(() => (order.kind === 'serve' ? serve(exposure, files, order) : exposure[Symbol.dispose]())),
    })
    // Nothing listens any more: the thread ends.
  })
  report({
    kind: 'opened',
    disk: {
      format,
      subformat,
      capacity,
      sectorSize,
      files,
      tableInside: Object.fromEntries(
        exposure.table.partitions.map((part) => [part.number, tableTitles(exposure.table, part)]),
      ),
      reads: exposure.reads,
      notes: [...exposure.notes, ...notes],
      selected,
    },
  })
} catch (error) {
  report({ kind: 'ended', error: toWire(error) })
}

async function open({ image, options, partition: wanted, registryModule }: OpenRequest): Promise<Exposure> {
  const later = { onProgress: (progress: Progress) => report({ kind: 'progress', progress }) }
  if (registryModule === undefined) return await openExposedLater(image, { ...options, wanted }, later)
  const { default: load } = (await import(registryModule)) as { default: () => Promise<Registry> }
  return await openExposedLater(image, { ...options, wanted, registry: await load() }, later)
}

/** Blocks until the folder is unmounted; the image is whole and closed when it returns. */
function serve(
  exposure: Exposure,
  files: readonly ShownFile[],
  { descriptor, look }: Extract<ThreadOrder, { kind: 'serve' }>,
): void {
  const { disk } = exposure
  let failedWrite: Error | undefined
  const onError = (error: unknown, writes: boolean): void => {
    const known = error instanceof Error ? error : new Error(String(error))
    if (writes) failedWrite ??= known
    report({ kind: 'trouble', message: printable(known.message) })
  }
  try {
    if (disk.writable) syscalls()?.servesIo()
    new FuseSession({ descriptor, disk, files, look, onError }).run()
    disk.flush()
  } finally {
    exposure[Symbol.dispose]()
  }
  // The writer got the error; the user who unmounts should see it too. A throwaway layer has nothing to lose.
  if (failedWrite !== undefined && (workerData as OpenRequest).options.mode !== 'throwaway') throw failedWrite
}

function errorOf(work: () => void): { readonly error?: ReturnType<typeof toWire> } {
  try {
    work()
    return {}
  } catch (error) {
    return { error: toWire(error) }
  }
}
