import type { GuestVolume, TextFile } from './guest.js'
import type { UnifiedKernel } from './unified-kernel.js'

/** A filesystem that GRUB looks for, by what distinguishes it. */
export interface MenuSearch {
  readonly kind: 'uuid' | 'label' | 'file'
  readonly value: string
}

/** What a boot loader can start. Paths are as it reads them: from the root of a volume. */
export interface BootEntry {
  /** The file it stands in, for people. */
  readonly where: string
  readonly open: GuestVolume
  readonly title: string
  readonly kernel?: string
  readonly initrds: readonly string[]
  /** What the file called `kernel` holds, where it is a unified kernel image. */
  readonly unified?: UnifiedKernel
  readonly parameters: readonly string[]
  /** The filesystem that GRUB looks for before it reads the kernel there. */
  readonly searched?: MenuSearch
  /** The number of the partition that GRUB reads the kernel from where no search finds another: `hd0,gpt2`. */
  readonly partition?: number
}

/** A menu, and which of its entries starts by itself. */
export interface BootMenu {
  readonly where: string
  readonly open: GuestVolume
  /** The files that it is written in. */
  readonly texts: readonly TextFile[]
  readonly entries: readonly BootEntry[]
  readonly first?: BootEntry
  readonly searches: readonly (MenuSearch & { readonly line: number })[]
}

/** Whether the kernel is given an initramfs. */
export function hasInitramfs({ initrds, unified }: BootEntry): boolean {
  return initrds.length > 0 || (unified !== undefined && unified.initrds.length > 0)
}

/** What is to be done in the guest about a parameter of the kernel. @param change `Correct root=`. */
export function parameterRemedy({ unified }: BootEntry, change: string): string {
  return unified === undefined
    ? `${change} in the boot menu (update-grub, grubby).`
    : `${change} in /etc/kernel/cmdline, and build the unified kernel image again (kernel-install, ukify).`
}

/** Of a menu, and of its searches; more are not looked at. */
export const mostMenuEntries = 64

/** Where a volume lies, for people. */
export function placeText({ volume: { partition }, logical }: GuestVolume): string {
  if (logical !== undefined) return `the logical volume ${logical}`
  return partition === undefined ? 'the disk' : `partition ${partition.number}`
}

/** An entry of a menu, for people. */
export function entryText({ where, title }: Pick<BootEntry, 'where' | 'title'>): string {
  return `${where}, "${title}"`
}

/** Where a file lies, for people. */
export function fileText(open: GuestVolume, path: string): string {
  return `${path} in ${placeText(open)}`
}
