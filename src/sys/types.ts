/** What Node cannot ask the system. All optional: every caller works without, slower. */
export interface Syscalls {
  /**
   * The first position ≥ `position` that holds data; Infinity when only a hole follows; undefined when the system
   * does not know.
   */
  nextData(descriptor: number, position: number): number | undefined
  /**
   * The first position > `position` that lies in a hole (the end of the file counts as one); undefined when it is not
   * known.
   */
  nextHole(descriptor: number, position: number): number | undefined
  /** Reserves space, which reads as zero, and enlarges the file to hold it. False when the filesystem cannot. */
  reserve(descriptor: number, position: number, length: number): boolean
  /**
   * Has the system write a range of a file to the medium, without waiting for that, and settles when the medium was
   * asked. Where the system cannot, nothing is done.
   */
  startWriting(descriptor: number, position: number, length: number): Promise<void>
  /**
   * Waits until a range of a file is on the medium, and releases the memory that the page cache holds for it. No flush:
   * neither what the medium has in its own cache nor what leads to the range is there for sure.
   * @throws Error with a `code` as Node's, where the range could not be written.
   */
  finishWriting(descriptor: number, position: number, length: number): Promise<void>
  /** Gives back the space of a range, which reads as zero then. False when the filesystem or device cannot. */
  punchHole(descriptor: number, position: number, length: number): boolean
  /**
   * Takes a file for oneself until it is closed, as QEMU understands it too. False when somebody else has it open;
   * undefined where its filesystem has no locks (NFS without its lock daemon).
   */
  lock(descriptor: number): boolean | undefined
  /**
   * Lets others read a file and nobody change it, until it is closed, as QEMU understands it too. False when somebody
   * may change it already.
   */
  lockForReading(descriptor: number): boolean
  /** Whether somebody else has a lock on the bytes that {@link lock} takes, for reading or writing. */
  isLocked(descriptor: number): boolean
  /** Whether somebody else has a file open to write to it or to resize it, as QEMU and vdisk say by their locks. */
  hasWriter(descriptor: number): boolean
  /**
   * The file behind an open loop device: the device number of its filesystem, its inode, and the number of the device
   * that it is the node of, or 0. Undefined when nothing is attached.
   */
  loopStatus(descriptor: number): { readonly device: bigint; readonly inode: bigint; readonly node: bigint } | undefined
  /**
   * Shares the blocks of a range between two files (reflink). False when the filesystem cannot; nothing was changed
   * then.
   */
  cloneRange(from: number, fromPosition: number, length: number, to: number, toPosition: number): boolean
  /** Makes a range of a block device read as zero, on the medium. False when the device cannot. */
  zeroOut(descriptor: number, position: number, length: number): boolean
  /** Marks a range of a block device as unused; it may read as anything afterwards. False when the device cannot. */
  discard(descriptor: number, position: number, length: number): boolean
  /** Lets the kernel read a disk's partition table again. False when it cannot now. */
  rereadPartitions(descriptor: number): boolean
  /** Writes out and drops what the page cache holds of a block device. */
  flushBuffers(descriptor: number): boolean
  /**
   * Stops all writing to the mounted filesystem that a descriptor lies in, with everything on the medium, until `thaw`.
   */
  freeze(descriptor: number): boolean
  thaw(descriptor: number): boolean
  /**
   * Sets the times of an open file or folder, in nanoseconds since 1970; Node knows microseconds. False when it cannot
   * be done.
   */
  setTimes(descriptor: number, accessed: bigint, modified: bigint): boolean
  /** The same for a symbolic link itself. */
  setLinkTimes(path: string, accessed: bigint, modified: bigint): boolean
  /**
   * Two connected local sockets, closed in programs that are started unless they are handed on. Undefined when there
   * are none.
   */
  socketPair(): readonly [number, number] | undefined
  /** Closes one of them: in a thread, Node's own call warns of a descriptor that it has not opened. */
  closeDescriptor(descriptor: number): void
  /** Takes a descriptor that was sent over a local socket; undefined when none came (it does not wait). */
  receiveDescriptor(socket: number): number | undefined
  /**
   * Declares to the kernel that this thread serves a filesystem or disk: memory is not freed by writing to what only
   * this thread can take. False when the kernel refuses.
   */
  servesIo(): boolean
}
