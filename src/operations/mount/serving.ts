import { guardWriting } from '../partition/table-overlap.js'
import fs from '../../sys/host-fs.js'
import { setTimeout as pause } from 'node:timers/promises'
import type { Note } from '../../block/types.js'
import type { Progress } from '../progress.js'
import { aborted, type ImageError } from '../../errors.js'
import { mountFuse, unmountFuse } from '../../mount/fuse/attach.js'
import { abortConnection } from '../../mount/fuse/connection.js'
import { backingAttribute, backingFile, detachLoop, type Loop } from '../../mount/loop.js'
import { startTimeOf } from '../../sys/processes.js'
import { currentUser, ownPid } from '../../sys/self.js'
import { chooseTargets, type Target } from './choose.js'
import type { OpenedDisk, ServeRequest } from './messages.js'
import { mountAt } from './mount-table.js'
import { attachTarget, mountTarget, unmountPoint, type MounterOptions } from './mounter.js'
import type { AttachedDevice, MountedFilesystem, MountSession } from './session.js'
import { logPath, removeState, statePath, writeState } from './state.js'
import { ServingThread } from './thread.js'
import { quoted, Watchdog } from './watchdog.js'
import { inFolder } from '../../sys/host-path.js'

/**
 * Threads that serve a disk that is only read: decompression then uses several processors. One, when its tables change.
 */
const readingThreads = 2
/** How long readers are given to notice that the folder is gone, in milliseconds. */
const patience = 2000

/** Messages to and from a server. */
export interface ServingOptions {
  /** Stops the setting up; later it has no effect. */
  readonly signal: AbortSignal
  readonly log: (line: string) => void
  /** How far the image is unpacked. */
  readonly onProgress: (progress: Progress) => void
  /** The descriptor of /dev/fuse when the folder is mounted already (the trampoline). */
  readonly descriptor?: number
}

/**
 * One image that is shown, and perhaps mounted, by this process. The threads answer the kernel; everything here waits
 * for programs and for
 * the threads, and never touches a path below its own folder.
 */
export class Serving {
  readonly #request: ServeRequest
  readonly #options: ServingOptions
  readonly #threads: readonly ServingThread[]
  readonly #watchdog = new Watchdog()
  readonly #folder: string
  readonly #loops: Loop[] = []
  readonly #mounts: MountedFilesystem[] = []
  readonly #attached: AttachedDevice[] = []
  readonly #notes: Note[] = []
  #descriptor: number | undefined
  #connection = 0
  #shown = false
  #session: MountSession | undefined

  constructor(request: ServeRequest, options: ServingOptions) {
    this.#request = request
    this.#options = options
    this.#descriptor = options.descriptor
    this.#folder = inFolder(request.runtime, request.id)
    const count = request.mode === 'read-only' ? readingThreads : 1
    // Each thread unpacks for itself, at the same pace: one of them reports.
    this.#threads = Array.from(
      { length: count },
      (_, index) => new ServingThread(request, options.log, index === 0 ? options.onProgress : undefined),
    )
  }

  /** Shows the disk and mounts what is wanted. On failure everything is as it was before. @throws ImageError */
  async start(): Promise<{ readonly session: MountSession; readonly notes: OpenedDisk['notes'] }> {
    try {
      const [disk] = await Promise.all(this.#threads.map(({ opened }) => opened))
      if (disk === undefined) throw new Error('there is no thread')
      const choice = this.#choose(disk)
      this.#guardTable(disk, choice)
      await this.#show(disk)
      for (const target of choice.targets) await this.#take(target, disk)
      // What is mounted holds the folder's files open: without its name the folder ends with the last of them, by
      // itself.
      if (this.#mounts.length > 0 && this.#attached.length === 0) await this.#hide()
      this.#session = this.#describe(disk)
      writeState(this.#request.runtime, this.#session)
      this.#plan()
      return { session: this.#session, notes: [...disk.notes, ...choice.notes, ...this.#notes] }
    } catch (error) {
      await this.#undo()
      throw error
    }
  }

  /**
   * Waits until it is unmounted, by whomever, and the image is closed; then nothing of it is left. @returns what was
   * not written.
   */
  async end(): Promise<ImageError | undefined> {
    const errors = await Promise.all(this.#threads.map(({ ended }) => ended))
    const error = errors.find((each) => each !== undefined)
    this.#release()
    if (error === undefined || this.#session === undefined) removeState(this.#request.runtime, this.#request.id)
    // The one thing that must not get lost: `mounts` shows it.
    else writeState(this.#request.runtime, { ...this.#session, shown: false, failure: error.message })
    return error
  }

  /** Unmounts everything, unless it is in use. @returns what is in the way. */
  async stop(): Promise<string | undefined> {
    for (const { point } of [...this.#mounts].reverse()) {
      if (mountAt(point) === undefined) continue
      const { code, stderr } = await unmountPoint(point, false)
      if (code !== 0) return stderr
    }
    for (const { loop } of this.#attached) await detachLoop(loop)
    if (this.#shown) {
      const { code, stderr } = await unmountFuse(this.#folder, false)
      if (code !== 0) return stderr
    }
    return undefined
  }

  #choose(disk: OpenedDisk): ReturnType<typeof chooseTargets> {
    const { point, image, all } = this.#request
    const { files, selected } = disk
    return point === undefined
      ? { targets: [], notes: [] }
      : chooseTargets(files, { image, point, all, partition: selected })
  }

  /**
   * @throws ImageError refused E_TABLE_IN_PARTITION where what is mounted for writing has a part of the table in it.
   */
  #guardTable({ tableInside }: OpenedDisk, { targets }: ReturnType<typeof chooseTargets>): void {
    const { mode, options } = this.#request
    if ((mode !== 'write' && mode !== 'overlay') || options.allowTableLoss === true) return
    for (const { file } of targets)
      if (file.partition !== undefined) guardWriting(tableInside[file.partition] ?? [], `partition ${file.partition}`)
  }

  async #show(disk: OpenedDisk): Promise<void> {
    this.#checkAborted()
    const { mode, others, image } = this.#request
    const readOnly = mode === 'read-only'
    if (this.#descriptor === undefined) {
      fs.mkdirSync(this.#folder, { recursive: true, mode: 0o700 })
      this.#descriptor = await mountFuse({ point: this.#folder, name: image, readOnly, others })
    }
    this.#shown = true
    this.#plan()
    this.#connection = Number(mountAt(this.#folder)?.deviceNumber.split(':')[1] ?? 0)
    const look = {
      user: currentUser().id,
      group: currentUser().group,
      writable: !readOnly,
      others,
      time: Math.floor(Date.now() / 1000),
    }
    for (const thread of this.#threads) thread.serve(this.#descriptor, look)
    // From here on "mounts" knows of it.
    this.#session = this.#describe(disk)
    writeState(this.#request.runtime, this.#session)
    this.#options.log(`shows ${disk.capacity} bytes at ${this.#folder}`)
  }

  async #take(target: Target, disk: OpenedDisk): Promise<void> {
    this.#checkAborted()
    const { mode, others, mountOptions, image } = this.#request
    const options: MounterOptions = {
      folder: this.#folder,
      mode,
      sectorSize: disk.sectorSize,
      others,
      mountOptions,
      onLoop: (loop, held) => this.#hold(loop, held),
    }
    if (target.file.content?.kind === 'container') this.#attached.push(await attachTarget(target, image, options))
    else {
      const { mounted, notes } = await mountTarget(target, options)
      this.#mounts.push(mounted)
      this.#notes.push(...notes)
    }
    this.#plan()
  }

  #hold(loop: Loop, held: boolean): void {
    if (held) this.#loops.push(loop)
    else this.#loops.splice(this.#loops.indexOf(loop), 1)
    this.#plan()
  }

  async #hide(): Promise<void> {
    const { code, stderr } = await unmountFuse(this.#folder, true)
    if (code === 0) this.#shown = false
    else this.#options.log(`the folder stays: ${stderr}`)
    if (!this.#shown) fs.rmdirSync(this.#folder)
  }

  #describe(disk: OpenedDisk): MountSession {
    const {
      id,
      image,
      mode,
      options: { overlay },
    } = this.#request
    return {
      id,
      pid: ownPid(),
      startTime: startTimeOf(ownPid()) ?? '',
      image,
      format: disk.format,
      mode,
      overlay,
      reads: disk.reads,
      capacity: disk.capacity,
      since: this.#session?.since ?? new Date().toISOString(),
      folder: this.#folder,
      shown: this.#shown,
      connection: this.#connection,
      files: disk.files,
      mounts: this.#mounts,
      attached: this.#attached,
    }
  }

  /**
   * What the watchdog does if this process is killed. What the user mounted stays, dead, until the user unmounts it: an
   * empty folder in
   * its place would look like data that is gone.
   */
  #plan(): void {
    const { runtime, id } = this.#request
    const folder = quoted(this.#folder)
    const takeAway = currentUser().isRoot ? `umount -i -l -- ${folder}` : `fusermount3 -u -z -- ${folder}`
    const loops = this.#loops.map(
      ({ device, backing }) =>
        `[ "$(cat ${quoted(backingAttribute(device))})" = ${quoted(backing)} ] && losetup --detach ${quoted(device)}`,
    )
    const state =
      this.#mounts.length > 0 ? [] : [`rm -f ${quoted(statePath(runtime, id))} ${quoted(logPath(runtime, id))}`]
    this.#watchdog.plan([...loops, ...(this.#shown ? [takeAway, `rmdir ${folder}`] : []), ...state])
  }

  #checkAborted(): void {
    if (this.#options.signal.aborted) throw aborted()
  }

  async #undo(): Promise<void> {
    for (const { point } of [...this.#mounts].reverse()) await unmountPoint(point, false)
    for (const loop of [...this.#loops]) if (backingFile(loop.device) === loop.backing) await detachLoop(loop)
    if (this.#shown) await unmountFuse(this.#folder, true)
    else for (const thread of this.#threads) thread.close()
    await this.#letGo()
    this.#release()
    removeState(this.#request.runtime, this.#request.id)
  }

  /** Waits for the threads; a kernel that does not let them go is made to. */
  async #letGo(): Promise<void> {
    const ended = Promise.all(this.#threads.map(({ ended: each }) => each))
    const late = await Promise.race([ended, pause(patience, 'late' as const)])
    if (late !== 'late') return
    await abortConnection(this.#connection)
    await Promise.race([ended, pause(patience)])
  }

  #release(): void {
    this.#watchdog.dismiss()
    if (this.#descriptor !== undefined) fs.closeSync(this.#descriptor)
    this.#descriptor = undefined
    for (const { point, madePoint } of this.#mounts) if (madePoint && mountAt(point) === undefined) removeFolder(point)
  }
}

function removeFolder(path: string): void {
  try {
    fs.rmdirSync(path)
  } catch {
    // Somebody put something into it.
  }
}
