// Reasons why the disk cannot be written to.

const DENIED = "writing to it is not permitted: change its permissions, or choose another";

/** The reason and the remedy, by the system's error code. */
export const DISK_FAULTS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full: free some space",
  EDQUOT: "your quota of the disk is used up: free some space",
  EFBIG: "the file is larger than the disk allows",
  EROFS: "the disk is read-only: choose another folder",
  EIO: "the disk failed",
  EACCES: DENIED,
  EPERM: DENIED,
};
