import type { BlockSource, Fact } from '../../block/types.js'
import { unsupported } from '../../errors.js'
import { damaged } from '../damage.js'
import { Issues, requireTrustworthy } from '../identification.js'
import { setUuid, secondsText, utf8Label } from '../labels.js'
import type { Filesystem, FilesystemFamily, FilesystemState, ByteRun, UsedOptions } from '../types.js'
import { volumeRuns } from '../unit-runs.js'
import { VolumeReader } from '../volume-reader.js'
import { superblockHolds } from './checksums.js'
import { extFeatures, extState } from './entries.js'
import { ExtGroups } from './groups.js'
import { ExtLayout } from './layout.js'
import { extSuperblock, superblockPosition } from './structs.js'
import { ExtTree } from './tree.js'
import { extUsedBlocks } from './used.js'

const magic = 0xef53

/** ext2, ext3 and ext4, and external journals of theirs (the sheet's section 3). */
export const ext: FilesystemFamily = {
  id: 'ext',
  identify: (volume) => {
    if (volume.capacity < superblockPosition + extSuperblock.size) return []
    const bytes = new Uint8Array(extSuperblock.size)
    volume.read(superblockPosition, bytes)
    return extSuperblock.read(bytes).magic === magic ? [new Identification(volume, bytes).filesystem()] : []
  },
}

class Identification {
  readonly #reader: VolumeReader
  readonly #bytes: Uint8Array
  readonly #superblock
  readonly #title: string
  readonly #issues: Issues

  constructor(volume: BlockSource, bytes: Uint8Array) {
    this.#bytes = bytes
    this.#superblock = extSuperblock.read(bytes)
    this.#title = extFeatures(this.#superblock).version
    this.#reader = new VolumeReader(volume, this.#title)
    this.#issues = new Issues(this.#title)
  }

  filesystem(): Filesystem {
    const { uuid, label, revision, minorRevision } = this.#superblock
    const text = utf8Label(label)
    const id = setUuid(uuid)
    const common = {
      type: this.#title,
      version: `${revision}.${minorRevision}`,
      label: text,
      uuid: id,
    }
    if (this.#title === 'jbd')
      return { ...common, title: 'journal of ext3 or ext4', kind: 'container', state: 'unknown', facts: [], issues: [] }
    const layout = this.#issues.attempt(() => new ExtLayout(this.#superblock))
    const state = this.#state(layout)
    return {
      ...common,
      title: this.#title,
      kind: 'filesystem',
      state,
      ...(layout === undefined ? {} : this.#sizes(layout)),
      facts: this.#facts(),
      issues: this.#issues.list,
      usedRuns: (options) => this.#usedRuns(state, options),
      openTree: () => {
        const layout = new ExtLayout(this.#superblock)
        this.#requireKnown(layout.features.unknownIncompatible)
        return new ExtTree(new ExtGroups(this.#reader, layout))
      },
    }
  }

  #state(layout: ExtLayout | undefined): FilesystemState {
    const { isClean, hasErrors } = extState(this.#superblock.state)
    if (hasErrors)
      this.#issues.warn(
        'W_FS_ERRORS',
        `the ${this.#title} filesystem records errors that were found while it was in use: e2fsck -f mends it`,
      )
    if (layout !== undefined && !superblockHolds(this.#bytes, layout)) {
      this.#issues.list.push({
        code: 'E_FS_CHECKSUM',
        severity: 'error',
        message: `the checksum of the ${this.#title} superblock is wrong`,
      })
    }
    return isClean && !hasErrors && !extFeatures(this.#superblock).has('needs_recovery') ? 'clean' : 'dirty'
  }

  #sizes({ size, blockSize, freeBlocks }: ExtLayout): Pick<Filesystem, 'blockSize' | 'size' | 'used' | 'free'> {
    this.#issues.checkSize(size, this.#reader.size)
    const free = freeBlocks * blockSize
    return { blockSize, size, free, used: size - free }
  }

  #facts(): Fact[] {
    const { state, mountCount, journalUuid, lastMounted, created, revision, inodes, freeInodes, inodeSize } =
      this.#superblock
    const { isClean, hasErrors } = extState(state)
    const features = extFeatures(this.#superblock)
    const path = utf8Label(lastMounted)
    const time = secondsText(created)
    const journal = setUuid(journalUuid)
    return [
      {
        name: 'recordedState',
        value:
          `${isClean ? '' : 'not '}clean${hasErrors ? ' with errors' : ''}` +
          (features.has('needs_recovery') ? ', journal to be replayed' : ''),
      },
      { name: 'mountCount', value: mountCount, unit: 'count' },
      { name: 'features', value: features.names.join(' ') },
      ...(journal === undefined ? [] : [{ name: 'journalUuid', label: 'journal UUID', value: journal }]),
      ...(path === undefined ? [] : [{ name: 'lastMountedOn', value: path }]),
      ...(time === undefined ? [] : [{ name: 'created', value: time }]),
      { name: 'revision', value: revision },
      { name: 'inodes', value: inodes, unit: 'count' },
      { name: 'freeInodes', value: freeInodes, unit: 'count' },
      { name: 'inodeSize', value: revision === 0 ? 128 : inodeSize, unit: 'bytes' },
    ]
  }

  #usedRuns(state: FilesystemState, options: UsedOptions | undefined): Iterable<ByteRun> {
    const layout = new ExtLayout(this.#superblock)
    const { features, size, blockSize } = layout
    // Compression was never part of Linux: nothing is known of how it allocates.
    this.#requireKnown([
      ...features.unknownIncompatible,
      ...features.unknownReadOnly,
      ...features.names.filter((name) => name === 'compression'),
    ])
    if (!superblockHolds(this.#bytes, layout))
      throw damaged(this.#title, 'the checksum of its superblock is wrong', superblockPosition)
    requireTrustworthy(this.#title, { size, volumeSize: this.#reader.size, state }, options)
    return volumeRuns(
      extUsedBlocks(new ExtGroups(this.#reader, layout), state === 'clean'),
      blockSize,
      0,
      size,
      this.#reader.size,
    )
  }

  #requireKnown(unknown: readonly string[]): void {
    if (unknown.length === 0) return
    throw unsupported(
      'E_FS_FEATURE',
      `the ${this.#title} filesystem has features that are not known here: ${unknown.join(', ')}`,
    )
  }
}
