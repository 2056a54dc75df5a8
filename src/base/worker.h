// A thread that executes queued orders one after the other.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

namespace pyro {

/// The orders wait in a bounded queue. An order that throws ends the thread; every later call
/// rethrows its exception. The destructor drops orders that were not begun.
template <typename Order>
class Worker {
 public:
  Worker(std::size_t capacity, std::function<void(Order&)> carry_out)
      : capacity_(capacity),
        carry_out_(std::move(carry_out)),
        thread_([this](const std::stop_token& stop) { run(stop); }) {}

  /// Blocks while the queue is full.
  void push(Order order) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failure_ || orders_.size() < capacity_; });
    if (failure_) std::rethrow_exception(failure_);
    orders_.push_back(std::move(order));
    changed_.notify_all();
  }

  /// Blocks until all orders are carried out.
  void drain() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failure_ || (orders_.empty() && idle_); });
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void run(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [&] { return !orders_.empty(); }) && !stop.stop_requested()) {
      Order order = std::move(orders_.front());
      orders_.pop_front();
      idle_ = false;
      changed_.notify_all();
      lock.unlock();
      std::exception_ptr failure = attempt(order);
      lock.lock();
      idle_ = true;
      failure_ = std::move(failure);
      if (failure_ || orders_.empty()) changed_.notify_all();
      if (failure_) return;
    }
  }

  std::exception_ptr attempt(Order& order) noexcept {
    try {
      carry_out_(order);
      return nullptr;
    } catch (...) {
      return std::current_exception();
    }
  }

  const std::size_t capacity_;
  const std::function<void(Order&)> carry_out_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Order> orders_;
  bool idle_ = true;  // the thread is between two orders
  std::exception_ptr failure_;
  std::jthread thread_;  // last: it uses all the others
};

}  // namespace pyro
